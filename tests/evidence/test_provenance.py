"""The commit that a result names is the project's own, or none."""

import os
import shutil
import subprocess

import pytest

from lib.evidence import provenance

NONE = {"commit": None, "uncommitted_changes": None}


def git(place, *arguments):
    done = subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], cwd=place, check=True,
                          capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project under git, in a folder that is a repository too."""
    root = tmp_path / "outer" / "project"
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "code.py").touch()
    for place in (root.parent, root):
        git(place, "init", "-q")
    git(root.parent, "commit", "-q", "--allow-empty", "-m", "outer")
    git(root, "add", ".")
    git(root, "commit", "-qm", "inner")
    monkeypatch.setattr(provenance, "ROOT", root)
    return root


def test_the_commit_is_the_projects(project):
    assert provenance.origin() == {"commit": git(project, "rev-parse", "HEAD"), "uncommitted_changes": False}
    (project / "lib" / "code.py").write_text("more")
    assert provenance.origin()["uncommitted_changes"]


def test_a_copy_without_git_inside_another_repository_has_no_commit(project):
    shutil.rmtree(project / ".git")
    assert provenance.origin() == NONE


def test_a_git_hooks_environment_names_no_other_repository(project, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(project.parent / ".git"))
    assert provenance.origin()["commit"] == subprocess.run(
        ["env", "-u", "GIT_DIR", "git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_a_clone_of_another_owner_has_its_commit(project):
    expected = git(project, "rev-parse", "HEAD")
    for path in (project, *project.rglob("*")):
        os.chown(path, 65534, 65534)
    assert provenance.origin()["commit"] == expected


def test_without_git_there_is_no_commit(project, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.origin() == NONE
