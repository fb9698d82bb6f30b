"""Public functions and methods say the types of their arguments and of what they return."""

import ast

import pytest

from lib import study

FILES = sorted((study.ROOT / "lib").rglob("*.py"))


def public_functions(body, place=""):
    """(dotted name, node) of functions at the top of a module and of methods; a leading underscore is private."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{place}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_")
                                                    or node.name in ("__init__", "__call__")):
            yield f"{place}{node.name}", node


def missing(name, node):
    """The arguments without a type, `self` and `cls` aside, and `return`, which `__init__` does not need."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    static = any(isinstance(part, ast.Name) and part.id == "staticmethod" for part in node.decorator_list)
    if "." in name and not static:
        arguments = arguments[1:]
    found = [argument.arg for argument in arguments if argument is not None and argument.annotation is None]
    return found + (["return"] if node.returns is None and node.name != "__init__" else [])


def untyped(source):
    return {name: gaps for name, node in public_functions(ast.parse(source).body) if (gaps := missing(name, node))}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(study.ROOT)))
def test_public_functions_are_annotated(path):
    assert untyped(path.read_text()) == {}


@pytest.mark.parametrize("source, gaps", [
    ("def f(x): pass", {"f": ["x", "return"]}), ("def f(x: int) -> int: pass", {}), ("def _f(x): pass", {}),
    ("def f(x: int, *rest, key=1, **more) -> int: pass", {"f": ["key", "rest", "more"]}),
    ("class A:\n    def __init__(self, x): pass\n    def f(self): pass", {"A.__init__": ["x"], "A.f": ["return"]}),
    ("class A:\n    @staticmethod\n    def f(x) -> int: pass", {"A.f": ["x"]}), ("class _A:\n    def f(x): pass", {})])
def test_a_gap_is_found(source, gaps):
    assert untyped(source) == gaps
