"""A study: its parameters, read from YAML and checked, and the list of runs that its figures need."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from lib import InputError
from lib.batch import checks
from lib.batch.parameters import Study
from lib.batch.runs import FIGURES, NOTEBOOKS, REPORT, Point, Run, name, name_in, needs, resolved, runs, settings_for
from lib.execution import kernel

# Other code speaks of a study through this module; what lib/batch/runs.py defines is offered here too.
__all__ = ["FIGURES", "NOTEBOOKS", "REPORT", "ROOT", "Point", "Run", "Study", "load", "name", "name_in", "needs",
           "resolved", "runs", "settings_for"]

ROOT = Path(__file__).resolve().parent.parent
RESERVED = ("bench", "interactive")  # folders of outputs/ that are no study's
kernel.show_sentences()
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C: ten times as fast, where it was built


class Loader(YAML_LOADER):
    """Refuses a name that is given twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """A mapping of the file, its names all different."""
        names = [key.value for key, _ in node.value]
        if twice := [name for name in names if names.count(name) > 1]:
            raise yaml.YAMLError(f"{twice[0]!r} is given twice in one place")
        return super().construct_mapping(node, deep)


def load(path: str | Path | Study) -> Study:
    """The checked parameters of a YAML file, or of the profile of that name; a study that is loaded already, as it is.

    Raises InputError, in one sentence, for what is missing, unknown, of the wrong type or impossible.
    """
    if isinstance(path, Study):
        return path
    kernel.check_injected()
    file = Path(path)
    if file.suffix not in (".yaml", ".yml"):
        file = ROOT / "params" / f"{path}.yaml"
    # Not the file itself: a link in params/ keeps its own name.
    file = file.parent.resolve() / file.name
    settings = _read(file, path)
    # A file elsewhere may not take the name, and with it the results, of a shipped profile.
    shipped = ROOT / "params" / f"{file.stem}.yaml"
    _check_name(settings, file, shipped)
    try:
        _check_runs(settings)
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error
    # What the user would type to name this study again, for messages.
    settings._source = file.stem if file == shipped else str(file)
    return settings


def _read(file: Path, path: str | Path) -> Study:
    """What the schema makes of a file; `path` is what the user called it."""
    try:
        return Study.model_validate(yaml.load(file.read_text(encoding="utf-8"), Loader))
    except OSError as error:
        known = ", ".join(sorted(shipped.stem for shipped in (ROOT / "params").glob("*.yaml")))
        raise InputError(f"There is no study {str(path)!r}: {file} cannot be read; in params/ there are {known}."
                         ) from error
    except ValidationError as error:
        # The commonest mistake in these files, and the schema alone would not explain it.
        hint = "; YAML reads 1e-3 as text, write 1.0e-3" if error.errors()[0]["type"] == "float_type" else ""
        raise InputError(f"{file.name}: {checks.first_error(error)}{hint}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        text = str(error).replace('in "<unicode string>", ', "")
        raise InputError(f"{file} is not YAML: {' '.join(text.split())}.") from error


def _check_name(settings: Study, file: Path, shipped: Path) -> None:
    """Raise InputError where two studies, or a study and something else, would write into one folder."""
    if settings.name != file.stem:
        raise InputError(f"{file.name}: name: must be the file's, {file.stem!r}, because results lie under it "
                         f"(given: {settings.name!r}).")
    if settings.name in RESERVED:
        raise InputError(f"{file.name}: name: {settings.name!r} is that of another folder in outputs/, "
                         "take another one.")
    if file != shipped and shipped.exists():
        raise InputError(f"{file}: name: {settings.name!r} is that of params/{shipped.name} too, and the results of "
                         "both would lie in one folder: give the file and its study another one.")


def _check_runs(settings: Study) -> None:
    """Raise InputError for the first run that cannot be built or would do nothing."""
    listed = {run.name: run for run in runs(settings)}
    for run in listed.values():
        checks.check_point(settings, run.parameters)
        checks.check_prune(settings, listed, run)
    if settings.pretrain_from is not None:
        file = ROOT / "params" / f"{settings.pretrain_from}.yaml"
        other = _read(file, settings.pretrain_from)
        # Before its own step 1 is looked for, which two studies could do for ever.
        checks.check_pretraining(settings, other if other.pretrain_from else load(settings.pretrain_from))
