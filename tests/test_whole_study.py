"""A whole study through Snakemake, in a copy of the project that computes a tiny one, and the server it forks from."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

from lib import forks, study

TINY = """
name: tiny
about: for tests
data: {name: mini}
network: {width: 0.0625}
seeds: [0]
threads: {pretrain: 1, others: 1}
evaluation: {snr_db: [0.0, 14.5], draws: 1, curve_images: 50}
pretrain: {epochs: 1, lr: 0.05, batch_size: 50, images_per_epoch: 400}
prune: {filters_per_step: 8, score_images: 50, training: {epochs: 1, lr: 0.01, batch_size: 50, images_per_epoch: 50}}
autoencoder: {epochs: 1, lr: 0.1, batch_size: 50, images_per_epoch: 200}
end_to_end: {epochs: 3, lr: 0.01, batch_size: 50, images_per_epoch: 500}
figure3: {}
figure4: {panels: {a: {pool: 2, bandwidth: 64}}, ratios: [0.5]}
figure5: {pool: 2, ratio: 0.5, bandwidths: [64]}
baselines:
  image: {epochs: 1, lr: 0.002, optimizer: adam, batch_size: 50, images_per_epoch: 50}
  frozen: {epochs: 1, lr: 0.002, optimizer: adam, batch_size: 50, images_per_epoch: 50}
  everything: {epochs: 1, lr: 0.002, optimizer: adam, batch_size: 50, images_per_epoch: 50}
  runs:
    - {scheme: png}
    - {scheme: bottlenet_plus, pool: 2, bandwidth: 64}
"""
MODEL = "end_to_end/pool2-r0.50-b64-snr14.5-s0"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project without results, in which the tiny study has been computed."""
    root = tmp_path_factory.mktemp("a project")
    for name in ("lib", "notebooks", "params", "data/mini", "Snakefile"):
        source = study.ROOT / name
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copytree(source, root / name) if source.is_dir() else shutil.copy(source, root / name)
    (root / "params" / "tiny.yaml").write_text(TINY)
    done = call(root, "-m", "lib", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def call(root, *arguments):
    return subprocess.run([sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False)


def result(root, name=MODEL):
    return json.loads((root / "outputs" / "tiny" / name / "result.json").read_text())


def test_a_study_ends_with_figures_and_a_report(project):
    for stem in ("figure3", "figure4a", "figure5"):
        for suffix in ("png", "svg", "csv"):
            assert (project / "outputs/tiny/figures" / f"{stem}.{suffix}").stat().st_size > 100
    page = (project / "outputs/tiny/report/index.html").read_text()
    assert "not measured at this profile" in page and "C9" in page


def test_a_run_forked_by_the_server_dies_with_its_client_and_resumes_to_the_same_numbers(project, tmp_path):
    folder, before = project / "outputs/tiny" / MODEL, result(project)
    (folder / "result.json").unlink()
    environment = {**os.environ, forks.ADDRESS: str(tmp_path / "socket")}
    with subprocess.Popen([sys.executable, "-m", "lib.forks", "--serve"], cwd=project, env=environment) as server:
        try:
            wait_for((tmp_path / "socket").exists)
            client = [sys.executable, "-m", "lib.forks", "tiny", MODEL]
            with subprocess.Popen(client, cwd=project, env=environment) as process:
                wait_for((folder / "checkpoint.pt").exists)
                run, = children(server.pid)
                kernel, = children(run)
                process.kill()
            wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in (run, kernel)))
            assert not (folder / "result.json").exists()
            assert subprocess.run(client, cwd=project, env=environment, check=False).returncode == 0
            assert result(project)["metrics"] == before["metrics"]
            assert subprocess.run([*client[:-1], "nonsense"], cwd=project, env=environment, check=False).returncode == 2
        finally:
            server.kill()


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(pid):
    return subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()


def test_a_server_sends_clients_away_once_lib_was_edited(project, tmp_path):
    environment = {**os.environ, forks.ADDRESS: str(tmp_path / "socket")}
    with subprocess.Popen([sys.executable, "-m", "lib.forks", "--serve"], cwd=project, env=environment) as server:
        try:
            wait_for((tmp_path / "socket").exists)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(tmp_path / "socket"))
                socket.send_fds(connection, [json.dumps(["tiny", "nonsense"]).encode()], [1, 2])
                assert connection.recv(1) == bytes([2])
            os.utime(project / "lib" / "vgg.py")
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(tmp_path / "socket"))
                assert connection.recv(1) == b""
        finally:
            server.kill()
