"""What decides a run's numbers, as a hash: its parameters, the definitions that its code rests on, upstream hashes.

Of a notebook those statements are hashed that reach what it hands to `job.fit` and `job.finish`; of
`lib`, the definitions that these rest on (`lib.evidence.definitions`). Cells and definitions that
only draw, print, check or explain are thereby left out, and so is the parameters cell, whose values
are hashed instead.
"""

import ast
import builtins
import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from lib import study
from lib.evidence import definitions
from lib.evidence.definitions import Definition, Module, Tree

ROOT = Path(__file__).resolve().parent.parent.parent
# The doors and the rooms around the science hand over, list, store and draw. What changes numbers stands in none of
# them (tests/evidence/test_fingerprint.py), and a name that leads there is not followed.
AROUND = ("lib.batch", "lib.evidence", "lib.execution", "lib.claims", "lib.report", "lib.pages", "lib.lessons",
          "lib.reading", "lib.deploy", "lib.device", "lib.opponent", "lib.ladder", "lib.job", "lib.study", "lib.choose",
          "lib.run", "lib.results", "lib.workers", "lib.__main__")
# What a notebook's `job` does to its numbers.
STAGE = (("lib.stage", "Stage"), ("lib.weights", "files"), ("lib.weights", "load"))
# A call as a statement, for its effect, is hashed unless it can have none on numbers.
NO_EFFECT = {"sys", "os", "warnings", "IPython", "matplotlib", "seaborn", *dir(builtins)}
# Results from before 28 November 2026 carry a hash over whole modules; this file says what that became.
MIGRATED = Path(__file__).with_name("migrated.json")
# Versions of the code that `./run_all.sh prove` found to give the same numbers, to the bit.
PROVEN = Path(__file__).with_name("proven.json")

Step = list[str]  # [notebook, hash of its parameters, hash of its code]


def digest(text: str) -> str:
    """A short hash of a text: 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code(notebook: str, tree: Tree | None = None,
         stage: tuple[Definition, ...] = STAGE) -> tuple[str, list[str]]:
    """The hash of a notebook's code, and the names of the definitions of `lib` that it covers.

    `tree` is another version of the project than the one that is running, and `stage` what it had
    in that place.

    Definitions are numbered as they are met, and a name that leads to one stands as its number:
    neither names nor files play a part, and definitions that need each other are no difficulty.
    """
    tree = tree or Tree(ROOT, AROUND)
    module, statements = notebook_code(notebook, tree)
    # `job` reaches a notebook by its object and not by an import, so that its part is met first,
    # always.
    met = {definition: number for number, definition in enumerate(stage)}

    def text(chosen, owner):
        return " ".join(tree.text(statement, owner, lambda other: f"#{met.setdefault(other, len(met))}")
                        for statement in chosen)

    texts = [text(statements, module)]
    while len(texts) <= len(met):  # what is written may meet further definitions
        # texts[0] is the notebook's own, so that texts[n + 1] belongs to definition n.
        definition = list(met)[len(texts) - 1]
        texts.append(text(tree.statements(definition), tree.module(definition[0])))
    return digest("\n".join(texts)), [".".join(definition) for definition in met]


def origin(settings: study.Study, item: study.Run, upstream: list[list[Step]],
           version: str | None = None) -> list[Step]:
    """What decides a run's numbers: the steps upstream of it, then its own, whose code has this hash (today's)."""
    # Without defaults: a parameter that is added later, and off, changes no origin.
    parameters = digest(json.dumps(study.resolved(settings, item, defaults=False), sort_keys=True))
    steps = [step for steps in upstream for step in steps]
    return [*steps, [item.notebook, parameters, version or code(item.notebook)[0]]]


def expected(settings: study.Study, listed: Iterable[study.Run]) -> dict[str, list[Step]]:
    """{run: the origin that it would have with today's code and parameters} of a study's runs, upstream ones first."""
    # Hundreds of runs share five notebooks: each is hashed once.
    found, version = {}, functools.cache(lambda notebook: code(notebook)[0])
    for item in listed:
        upstream = [found[name] for name in item.upstream]
        found[item.name] = origin(settings, item, upstream, version(item.notebook))
    return found


def stored(result: dict) -> list[Step]:
    """The origin that a result was made by; one that was hashed in another way, as it is hashed today."""
    # By study and name, and only for the very result that was migrated: one computed since has its
    # own origin.
    migrated = _json(MIGRATED).get(result.get("study"), {}).get(result.get("name"))
    if migrated and migrated["hash"] == result["hash"]:
        return migrated["made_by"]
    return result.get("made_by", [])


def differences(result: dict, today: list[Step]) -> list[str]:
    """In words, what a result was made by and would not be today; empty if it fits."""
    made_by = stored(result)
    # Another chain, as where a study got a further ratio: step by step there would be nothing to
    # compare.
    if [step[0] for step in made_by] != [step[0] for step in today]:
        return ["the steps before it"]
    found = []
    for (notebook, parameters, version), (_, parameters_today, version_today) in zip(made_by, today, strict=True):
        if parameters != parameters_today:
            found.append(f"parameters of {notebook}")
        if version != version_today and canonical(version) != canonical(version_today):
            found.append(f"code of {notebook}")
    return found


def canonical(version: str) -> str:
    """One hash for all versions of code that were proven to be equal, directly or by way of others."""
    return _representatives(PROVEN, PROVEN.stat().st_mtime_ns).get(version, version)


@functools.cache
def _representatives(path, changed):
    """{version: the one that stands for all that equal it} of a file of proofs."""
    groups = []
    for record in _parsed(path, changed)["records"]:
        for pair in record["equal"].items():
            # Proofs chain: if A equals B and B equals C, then A and C need no proof of their own.
            met = [group for group in groups if group & set(pair)]
            groups = [group for group in groups if group not in met] + [set(pair).union(*met)]
    # Any of them would do, as long as it is always the same one.
    return {version: min(group) for group in groups for version in group}


def _json(path):
    return _parsed(path, path.stat().st_mtime_ns)


@functools.cache
def _parsed(path, changed):
    """A file's content, read again once it has `changed`."""
    return json.loads(path.read_text())


def notebook_code(notebook: str, tree: Tree) -> tuple[Module, list[ast.stmt]]:
    """A notebook as a module, and its statements that reach what goes to `job.fit` and `job.finish`, in order."""
    cells = json.loads((tree.root / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
    # Without the parameters cell: a run's own values stand in its parameters' hash.
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"
                       and "parameters" not in cell["metadata"].get("tags", []))
    body = ast.parse(source).body
    module = Module(notebook, definitions.imports_of(body))
    # From what is stored back to what it came from, until nothing more is needed.
    chosen = [statement for statement in body if _hands_over(statement)]
    while True:
        needed = {name for statement in chosen for name in _read(statement)}
        # Over `body`, so that what is chosen keeps the notebook's order.
        more = [statement for statement in body if statement in chosen
                or _reaches(statement, needed, module, tree.not_followed)]
        if len(more) == len(chosen):
            return module, chosen
        chosen = more


def _hands_over(statement):
    """Whether it calls the `fit` or `finish` of something."""
    return any(isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
               and node.func.attr in ("fit", "finish") for node in ast.walk(statement))


def _read(statement):
    """The names that a statement reads; one of which it sets an element or an attribute is read too."""
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _reaches(statement, needed, module, around):
    """Whether a statement binds or changes one of the names, or has an effect that no name tells."""
    # An assert can stop a run, and change no number of one that goes on.
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.Assert):
        return False
    value = getattr(statement, "value", None)
    if isinstance(value, ast.Call) and _path(value.func, module).startswith("lib.job."):
        return False  # the start of the job: its parameters count by their values
    bound = definitions.bound_in(statement) | ({statement.name} if hasattr(statement, "name") else set())
    # `model.bias = None` changes `model`, without binding a name.
    stores = {_root(node) for node in ast.walk(statement)
              if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)}
    if (bound | stores) & needed:
        return True
    # What stands in it happens when it is called, and then its name is needed.
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return False
    # Such as `torch.manual_seed(0)`: no name tells, and every number depends on it.
    return any(_has_effect(node.value.func, needed, module, around) for node in ast.walk(statement)
               if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))


def _has_effect(function, needed, module, around):
    """Whether calling it as a statement may change a needed object, or torch's random numbers and settings."""
    path = _path(function, module)
    if not path:
        return _root(function) in needed  # a method of something needed
    # Unknown calls count: a hash too wide costs a proof, one too narrow lets a changed number pass.
    return path.split(".")[0] not in NO_EFFECT and not path.startswith(around)


def _root(node):
    """The variable at the bottom of `a.b[c].d`; None where there is none."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _path(node, module):
    """The dotted path of an expression such as `F.relu`, by the imports; empty where it begins with a variable."""
    names = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    start = module.imports.get(node.id, node.id if hasattr(builtins, node.id) else "")
    return ".".join([start, *names]) if start else ""
