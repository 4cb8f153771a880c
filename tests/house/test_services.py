"""Every public action checks the right first: read from the syntax tree, so nobody can forget it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = ("projects", "experiments", "monitoring", "deployments")
# Functions that take the actor without acting on a project, each with its reason.
EXEMPT = {
    "projects/services/events.py:record": "writes the entry of a change that its caller has checked",
    "deployments/services/deciders.py:check": "locks the person and the membership first, then requires",
    "deployments/services/deciders.py:judge": "the same without locks; it requires inside",
    "deployments/services/deciders.py:check_override": "one rule of an action that has required",
    "deployments/services/evidence.py:readable": "masks what one may read already, also a token that only decides",
    "deployments/services/evidence.py:verdicts": "the same, for verdicts",
    "deployments/services/evidence.py:sealed_names": "the same, back from what was told; its callers have checked",
    "projects/services/marks.py:hidden_from": "the same: its callers have checked the right to what quotes the values",
    "projects/services/marks.py:hidden_anywhere": "the same, for what is read without its data",
    "deployments/services/evidence.py:hidden_from": "the same, for a version",
    "monitoring/services/marked.py:hidden_from": "the same, for a monitor",
    "deployments/services/holds.py:refusal": "says whether a request is still open; its callers have checked",
}


def actions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for app in APPS:
        for path in sorted((ROOT / app / "services").rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and takes_actor(node):
                    yield f"{path.relative_to(ROOT)}:{node.name}", node


def takes_actor(node: ast.FunctionDef) -> bool:
    arguments = node.args.posonlyargs + node.args.args
    return bool(arguments) and arguments[0].arg == "by"


def first_statement(node: ast.FunctionDef) -> ast.stmt:
    body = node.body[1:] if ast.get_docstring(node) else node.body
    first = body[0]
    # a decision reads the rights inside its transaction, on the locked row
    while isinstance(first, ast.With) and "atomic" in ast.unparse(first.items[0].context_expr):
        first = first.body[0]
    return first


def test_there_are_actions_to_check():
    assert len(list(actions())) > 20


@pytest.mark.parametrize(("name", "node"), [pytest.param(*each, id=each[0]) for each in actions()])
def test_an_action_begins_with_require(name, node):
    if name in EXEMPT:
        return
    first = first_statement(node)
    assert isinstance(first, ast.Expr), f"{name} begins with {ast.unparse(first)[:80]!r}"
    assert isinstance(first.value, ast.Call)
    assert ast.unparse(first.value.func) in {"require", "permissions.require"}


@pytest.mark.parametrize(("name", "node"), [pytest.param(*each, id=each[0]) for each in actions()])
def test_an_action_takes_its_values_by_keyword(name, node):
    if name in EXEMPT:
        return
    positional = [argument.arg for argument in node.args.posonlyargs + node.args.args][1:]
    assert positional == [], f"{name} takes {positional} by position"
