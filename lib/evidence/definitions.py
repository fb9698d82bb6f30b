"""What a piece of code rests on: the definitions of `lib` that it names, those that these name, and so on.

The text of a definition (`Tree.text`) holds neither comments, docstrings, annotations and imports
nor the names of files and of top-level definitions: a name that leads to another definition stands
for that definition. So moving or renaming changes nothing here, and an edit changes the text of
just the definitions edited.
"""

import ast
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Definition = tuple[str, str]  # the module's dotted name, and the name in it; "*" is all of the module
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef,
          ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# `ctx` (read or written) follows from where a name stands, `kind` is the u before a text.
NO_CODE = {"annotation", "returns", "type_comment", "type_params", "kind", "ctx"}  # fields that no number depends on


@dataclass
class Module:
    """A parsed file: what its top-level names stand for."""

    name: str
    imports: dict[str, str] = field(default_factory=dict)  # local name: dotted path
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)  # name: the statements that bind it
    loose: list[ast.stmt] = field(default_factory=list)  # statements that bind nothing, and run at import


def parse(name: str, source: str) -> Module:
    """The module of this dotted name and source."""
    tree = ast.parse(source)
    module = Module(name, imports_of(tree.body))
    for number, statement in enumerate(tree.body):
        # Imports are followed where their names are used; one that nobody uses reaches no number.
        if isinstance(statement, ast.Import | ast.ImportFrom) or number == 0 and ast.get_docstring(tree) is not None:
            continue
        names = {statement.name} if hasattr(statement, "name") else bound_in(statement)
        # A list: a name that is bound twice rests on both statements.
        for bound in names:
            module.definitions.setdefault(bound, []).append(statement)
        # What stands under `if __name__ == "__main__"` does not run when the module is imported.
        # Others may set a seed or a switch of torch, and so belong to every definition here.
        if not names and "__name__" not in {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}:
            module.loose.append(statement)
    return module


def imports_of(statements: list[ast.stmt]) -> dict[str, str]:
    """{local name: dotted path} of the import statements among these."""
    found = {}
    for statement in statements:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                package = alias.name.split(".")[0]  # what `import a.b` binds
                found[alias.asname or package] = alias.name if alias.asname else package
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                # `lib` has absolute imports alone; a relative one would have no module here.
                found[alias.asname or alias.name] = f"{statement.module}.{alias.name}"
    return found


def bound_in(node: ast.AST) -> set[str]:
    """The names that a statement or a scope binds: its arguments, targets and inner definitions."""
    names = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            # Over the whole body, as Python has it: a name that a function binds anywhere is local
            # everywhere in it.
            names.add(part.id)
        elif isinstance(part, ast.arg):
            names.add(part.arg)
        elif isinstance(part, ast.FunctionDef | ast.ClassDef) and part is not node:
            names.add(part.name)
    return names


@functools.cache
def _parsed(name, file, changed):
    """The module in a file, read again once it has `changed`."""
    return parse(name, file.read_text())


@dataclass(frozen=True)
class Tree:
    """A checked-out version of the project. Where a name leads into one of `not_followed`, the text ends there."""

    root: Path
    not_followed: tuple[str, ...] = ()

    def module(self, name: str) -> Module | None:
        """The parsed module of this dotted name; None where there is no such file."""
        place = self.root.joinpath(*name.split("."))
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.exists():
                # By its time of change: a notebook may be open in JupyterLab while lib is edited.
                return _parsed(name, file, file.stat().st_mtime_ns)
        return None

    def statements(self, definition: Definition) -> list[ast.stmt]:
        """The statements of a definition, and those that its module runs when it is imported."""
        module = self.module(definition[0])
        if definition[1] != "*":
            return module.definitions[definition[1]] + module.loose
        return [statement for bound in module.definitions.values() for statement in bound] + module.loose

    def leads_to(self, path: str) -> Definition | str | None:
        """What a dotted path names: a definition of `lib`, the path itself outside it, None for a part of something."""
        names = path.split(".")
        if names[0] != "lib":
            return path
        depth = len(names)
        # It ends at `lib` itself, whose __init__.py is always there.
        while self.module(".".join(names[:depth])) is None:
            depth -= 1
        module, rest = self.module(".".join(names[:depth])), names[depth:]
        # With a dot behind both, or `lib.run` would stop `lib.runner` too.
        if any(f"{module.name}.".startswith(f"{stop}.") for stop in self.not_followed):
            return "not followed"
        if not rest:
            return module.name, "*"
        if rest[0] in module.imports:
            # A name that a module only passes on, as `lib.codec` does those of `lib.geometry`.
            return self.leads_to(".".join([module.imports[rest[0]], *rest[1:]]))
        # An attribute of a definition: `write` comes to the definition itself one step further in.
        if len(rest) > 1:
            return None
        # Bound in a way that `parse` does not see: then all of the module counts, rather too much
        # than too little.
        return module.name, rest[0] if rest[0] in module.definitions else "*"

    def text(self, node: ast.AST, module: Module, refer: Callable[[Definition], str]) -> str:
        """A syntax tree as text, with `refer(definition)` where a name leads to a definition of `lib`."""
        return _Writer(self, module, refer).write(node, frozenset(), module.imports, top=True)


class _Writer:
    """Writes syntax trees of one module as text."""

    def __init__(self, tree, module, refer):
        self.tree, self.module, self.refer = tree, module, refer

    def write(self, node, bound, imports, top=False):
        """`bound` are the names of enclosing scopes, which hide those of the module; `imports` what is imported."""
        if isinstance(node, list):
            return "[" + ", ".join(self.write(part, bound, imports) for part in node) + "]"
        if not isinstance(node, ast.AST):
            return repr(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            # A text of its own would hash the names of files.
            return "import"
        if isinstance(node, ast.Name | ast.Attribute):
            target = self.target(node, bound, imports)
            if target is not None:
                return target if isinstance(target, str) else self.refer(target)
        if isinstance(node, SCOPES):
            # Imports inside a function are resolved as those of the module are.
            inside = imports_of([part for part in ast.walk(node) if isinstance(part, ast.stmt)])
            imports = imports | inside
            # Comprehensions bind too: their variable is no definition, even if one has its name.
            bound = (bound | bound_in(node)) - set(inside)
        fields = ", ".join(f"{name}={self.write(value, bound, imports)}"
                           for name, value in self.fields(node, top))
        return f"{type(node).__name__}({fields})"

    @staticmethod
    def fields(node, top):
        """The fields that count: empty ones differ between Python's versions, a top-level name is no part of it."""
        for name, value in ast.iter_fields(node):
            # Python 3.12 gave functions `type_params`: without this, a hash would hang on Python's
            # version.
            if name in NO_CODE or value is None or value == [] or top and name == "name":
                continue
            # Of functions and classes; a module's own is left out in `parse`.
            has_docstring = isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None
            yield name, value[1:] if name == "body" and has_docstring else value

    def target(self, node, bound, imports):
        """What a name or a dotted expression stands for; None where it is a variable's, and is written as it is."""
        names = []
        while isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id in bound:
            return None
        if node.id in imports:
            return self.tree.leads_to(".".join([imports[node.id], *names]))
        if node.id in self.module.definitions and not names:
            return self.module.name, node.id
        return None
