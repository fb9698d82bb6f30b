"""What the repository ships: code without a complaint from ruff, results that fit it, weights that are whole."""

import re
import subprocess
import sys
from collections import Counter

from lib import study


def call(*command):
    return subprocess.run(command, cwd=study.ROOT, capture_output=True, text=True, check=False)


def test_ruff_has_nothing_to_say():
    done = call(sys.executable, "-m", "ruff", "check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout


def test_no_shipped_result_is_stale_altered_or_damaged():
    shipped = Counter(name.split("/")[1] for name in call("git", "ls-files", "outputs/*/result.json").stdout.split())
    assert {"gpu", "quick"} <= set(shipped)
    for profile, count in shipped.items():  # and not what else was computed here
        settings = study.load(profile)
        count += len(settings.seeds) if settings.pretrain_from else 0  # step 1 lies with the study it is taken from
        done = call(sys.executable, "-m", "lib", "verify", profile)
        assert re.match(rf"{profile}: {count} finished results, 0 stale", done.stdout), done.stdout + done.stderr
        assert done.returncode == 0 and "not in the study:" not in done.stdout, done.stdout
