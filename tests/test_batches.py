"""Studies, runs and the command line, in a copy of the project that computes a tiny study."""

import ast
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import yaml

from lib import InputError, forks, provenance, study

PROFILES = ("quick", "desk", "paper")
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


def quick_with(tmp_path, **changes):
    content = yaml.safe_load((study.ROOT / "params" / "quick.yaml").read_text())
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


@pytest.mark.parametrize("profile", PROFILES)
def test_runs_are_unique_and_follow_what_they_need(profile):
    names = []
    for run in study.runs(study.load(profile)):
        assert run.name not in names and set(run.upstream) <= set(names) and run.figures
        names.append(run.name)
    assert sum(name.startswith("pretrain/") for name in names) == len(study.load(profile).seeds)


def test_quick_is_small():
    assert len(study.runs(study.load("quick"))) <= 45


def test_the_papers_schedules_stand_in_paper_yaml():
    paper = study.load("paper")
    one, two, three, four = paper.pretrain, paper.prune.training, paper.autoencoder, paper.end_to_end
    assert (one.epochs, one.lr, one.milestones, one.gamma, one.decay) == (60, 0.01, [20, 40], 0.1, "step")
    assert (paper.prune.filters_per_step, two.epochs, two.lr) == (512, 10, 1e-4)
    assert (three.epochs, three.lr) == (40, 0.1)
    assert (four.epochs, four.lr, four.milestones, four.gamma) == (60, 1e-4, [20, 40], 0.1)
    for schedule in (one, two, three, four):
        assert (schedule.optimizer, schedule.momentum, schedule.weight_decay) == ("sgd", 0.9, 5e-4)


def test_ratios_are_stops_on_one_chain():
    runs = {run.name: run for run in study.runs(study.load("paper"))}
    assert runs["prune/pool2-r0.90-s0"].upstream == ["prune/pool2-r0.75-s0"]
    assert runs["prune/pool2-r0.50-s0-magnitude"].upstream == ["pretrain/s0"]


@pytest.mark.parametrize("changes, culprit", [
    ({"epochs": 3}, "epochs"),
    ({"network": {"width": 0.25, "depth": 2}}, "depth"),
    ({"autoencoder": {"epochs": 1, "lr": "1e-3"}}, "1.0e-3"),
    ({"figure5": {"pool": 2, "ratio": 1.2, "bandwidths": [256]}}, "1.2"),
    ({"figure5": {"pool": 2, "ratio": -0.1, "bandwidths": [256]}}, "-0.1"),
    ({"figure5": {"pool": 2, "ratio": 0.5, "bandwidths": [100]}}, "multiple of 16"),
    ({"figure5": {"pool": 2, "ratio": 0.99, "bandwidths": [256]}}, "fewer than 2"),
    ({"figure5": {"pool": 6, "ratio": 0.5, "bandwidths": [256]}}, "figure5.pool"),
    ({"figure5": {"pool": 2, "ratio": 0.5, "bandwidths": ["256"]}}, "bandwidths"),
])
def test_bad_parameters_are_one_clear_sentence(tmp_path, changes, culprit):
    with pytest.raises(InputError) as error:
        study.load(quick_with(tmp_path, **changes))
    assert culprit in str(error.value) and "\n" not in str(error.value)


def test_where_the_data_lies_and_which_figures_are_asked_do_not_decide_a_runs_numbers(tmp_path):
    quick = study.load("quick")
    changed = study.load(quick_with(tmp_path, figure3={}, seeds=[0], data={"name": "mini", "root": "elsewhere"}))
    assert study.resolved(quick, study.runs(quick)[0]) == study.resolved(changed, study.runs(changed)[0])


def test_every_name_that_a_notebook_takes_from_lib_is_there():
    for path in sorted((study.ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        tree = ast.parse("\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "lib":
                assert all((study.ROOT / "lib" / f"{alias.name}.py").exists() for alias in node.names), path


def test_notebooks_are_stripped_and_have_one_parameters_cell():
    paths = sorted((study.ROOT / "notebooks").glob("*.ipynb"))
    assert {path.stem for path in paths} >= {*study.NOTEBOOKS.values(), *study.REPORT, "00_data"}
    for path in paths:
        book = json.loads(path.read_text())
        code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
        assert not any(cell["outputs"] or cell["execution_count"] for cell in code), f"nbstripout {path}"
        assert "papermill" not in book["metadata"] and not any("papermill" in c["metadata"] for c in book["cells"])
        assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1


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


def test_a_result_says_where_it_came_from(project):
    origin = result(project)["provenance"]
    assert origin["seed"] == 0 and origin["versions"]["torch"] and origin["seconds"] > 0 and origin["code"]["vgg"]
    assert [point["snr_db"] for point in result(project)["evaluation"]] == [0.0, 14.5]
    metrics = result(project)["metrics"]
    assert metrics["device_macs"] == metrics["device_half_macs"] + metrics["encoder_macs"] and metrics["symbols"] == 64


def test_the_pruned_network_is_rebuilt_from_its_kept_widths(project):
    pruned = result(project, "prune/pool2-r0.50-s0")
    assert sum(pruned["channels"][:4]) == 24 - 12 and pruned["metrics"]["filters_removed"] == 12
    assert result(project)["channels"] == pruned["channels"]


def test_the_pretrained_net_is_two_half_precision_shards(project):
    from safetensors.torch import load_file

    shards = sorted((project / "outputs/tiny/pretrain/s0").glob("model-*.safetensors"))
    assert len(shards) == 2
    assert {str(value.dtype) for shard in shards for value in load_file(shard).values()} == {
        "torch.float16", "torch.int64"}


def test_a_finished_study_has_nothing_left_to_do(project):
    done = call(project, "-m", "lib", "tiny", "--dry-run")
    assert done.returncode == 0 and "0 of 6 runs to do" in done.stdout


def test_verify_reports_edits_of_code_but_not_of_comments(project):
    assert call(project, "-m", "lib", "verify", "tiny").returncode == 0
    module = project / "lib" / "channel.py"
    code = module.read_text()
    try:
        module.write_text(code.replace('"""The wireless link', '# a comment\n"""The link').replace("# cancels", "# "))
        assert call(project, "-m", "lib", "verify", "tiny").returncode == 0
        module.write_text(code.replace("-self.snr_db / 20", "-self.snr_db / 10"))
        done = call(project, "-m", "lib", "verify", "tiny")
        assert done.returncode == 1 and f"stale: {MODEL}" in done.stdout
    finally:
        module.write_text(code)


def test_a_killed_run_leaves_no_result_and_resumes_to_the_same_numbers(project):
    folder, before = project / "outputs/tiny" / MODEL, result(project)
    (folder / "result.json").unlink()
    command = [sys.executable, "-m", "lib.run", "tiny", MODEL]
    process = subprocess.Popen(command, cwd=project, start_new_session=True, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(["pkill", "-KILL", "-f", f"ipykernel.*{project.name}"], check=False)
    assert (folder / "checkpoint.pt").exists() and not (folder / "result.json").exists()
    assert call(project, "-m", "lib.run", "tiny", MODEL).returncode == 0
    after = result(project)
    assert after["metrics"] == before["metrics"] and after["evaluation"] == before["evaluation"]
    assert not list(folder.glob("checkpoint*"))


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


def test_a_notebook_that_fails_leaves_no_result(project):
    path, folder = project / "notebooks/04_end_to_end.ipynb", project / "outputs/tiny" / MODEL
    content, finished = path.read_text(), (folder / "result.json").read_text()
    try:
        (folder / "result.json").unlink()
        path.write_text(content.replace("images = job.data\\n", "raise RuntimeError('planned')\\n", 1))
        done = call(project, "-m", "lib.run", "tiny", MODEL)
        assert done.returncode == 1 and "planned" in done.stderr and not (folder / "result.json").exists()
    finally:
        path.write_text(content)
        (folder / "result.json").write_text(finished)


@pytest.mark.parametrize("arguments, culprit", [
    (("nonsense",), "no study"), (("quick", "--only", "figure9"), "figure9"), (("quick", "--jobs", "0"), "--jobs"),
    (("quick", "desk"), "one study"), (("desk",), "CIFAR-100 is missing"),
])
def test_bad_calls_end_with_2_and_write_nothing(project, arguments, culprit):
    before = sorted(project.rglob("outputs/**"))
    done = subprocess.run([sys.executable, "-c", "import runpy, socket, sys\n"
                           "def refuse(*a, **k): raise OSError('no network')\n"
                           "socket.create_connection = refuse\n"
                           f"sys.argv = ['lib', *{list(arguments)!r}]\n"
                           "runpy.run_module('lib', run_name='__main__')"], cwd=project, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2 and culprit in done.stderr
    assert done.stderr.strip().count("\n") == 0 and sorted(project.rglob("outputs/**")) == before


def test_a_run_that_no_study_lists_is_an_error(project):
    done = call(project, "-m", "lib.run", "tiny", "prune/pool9")
    assert done.returncode == 2 and "no run prune/pool9" in done.stderr
    done = call(project, "-m", "lib.run", "tiny", "report/99_nothing")
    assert done.returncode == 2 and "no notebook 99_nothing" in done.stderr


def test_the_data_notebook_runs(project):
    import papermill

    papermill.execute_notebook(project / "notebooks/00_data.ipynb", project / "00.ipynb", kernel_name="python3",
                               cwd=project / "notebooks", progress_bar=False)
    assert "symbols an image" in (project / "00.ipynb").read_text()


def test_code_hashes_follow_imports_from_the_notebook():
    modules = set(provenance.code("04_end_to_end"))
    assert {"notebook", "codec", "channel", "vgg", "training", "evaluation", "data"} <= modules
    assert not modules & provenance.PRESENTATION
