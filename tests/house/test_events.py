"""Every public action that writes records an event: read from the syntax tree, so nobody can forget it."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.house.test_services import APPS, ROOT, actions

WRITES = {
    "save", "create", "bulk_create", "update", "delete", "get_or_create", "update_or_create", "bulk_update", "insert",
    "set_password",
}  # fmt: skip
RECORDS = {"events.record", "record"}
# Actions that write rows but no event of their own, each with its reason (reliability paper, 5.1: data are no entries).
# Actions that write rows but no event of their own, each with its reason (reliability paper, 5.1: data are no entries).
RUN_DATA = "metrics, params, tags and outputs of a run are data; the event of its finish carries their digest"
EXEMPT = {
    "deployments/services/drawings.py:ask": "keeps a drawing of what the asker may read; a copy is no change",
    "projects/services/events.py:record": "is what writes the event",
    "projects/services/comments.py:see": "notes what a person has read, for themselves only",
    "projects/services/access_requests.py:see": "notes what a person has read, for themselves only",
    "experiments/services/bulk.py:prepare": "writes down what is asked for; carrying it out is the event",
    "experiments/services/inputs.py:record": RUN_DATA,
    "experiments/services/inputs.py:remember_model": RUN_DATA,
    "experiments/services/logged_models.py:add_params": RUN_DATA,
    "experiments/services/logged_models.py:set_tags": RUN_DATA,
    "experiments/services/logged_models.py:drop_tag": RUN_DATA,
    "experiments/services/logged_models.py:add_outputs": RUN_DATA,
    "experiments/services/model_metrics.py:record": RUN_DATA,
    "experiments/services/runs.py:log_batch": RUN_DATA,
    "experiments/services/runs.py:set_tags": RUN_DATA,
    "experiments/services/runs.py:drop_tag": RUN_DATA,
    "monitoring/services/rules.py:add_defaults": "part of binding a monitor, inside the caller's event",
    "monitoring/services/predictions.py:record_truth": "labels of predictions are data, like the predictions",
    "monitoring/services/truthfiles.py:record": "labels of predictions are data, like the predictions",
}


@cache
def functions() -> dict[str, dict[str, ast.FunctionDef]]:
    """Functions of every services module, by the module's last name and their own."""
    found: dict[str, dict[str, ast.FunctionDef]] = {}
    for app in APPS:
        for folder in ("services", "queries", "metricstore"):
            for path in sorted((ROOT / app / folder).rglob("*.py")):
                inside = {node.name: node for node in ast.walk(ast.parse(path.read_text())) if is_function(node)}
                found.setdefault(f"{app}/{path.stem}", {}).update(inside)
        for path in (ROOT / app / "gates.py",):
            if path.exists():
                inside = {node.name: node for node in ast.walk(ast.parse(path.read_text())) if is_function(node)}
                found[f"{app}/{path.stem}"] = inside
    return found


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef)


def calls(node: ast.FunctionDef) -> set[str]:
    return {ast.unparse(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}


def reach(name: str, node: ast.FunctionDef) -> set[str]:
    """Every call that an action makes, through functions of services; names as written."""
    module = f"{name.split('/', maxsplit=1)[0]}/{Path(name.split(':', maxsplit=1)[0]).stem}"
    seen: set[tuple[str, str]] = set()
    todo, made = [(module, node)], set()
    while todo:
        place, function = todo.pop()
        if (place, function.name) in seen:
            continue
        seen.add((place, function.name))
        for call in calls(function):
            made.add(call)
            todo += resolve(place, call)
    return made


def resolve(place: str, call: str) -> list[tuple[str, ast.FunctionDef]]:
    parts = call.split(".")
    if len(parts) == 1:
        inside = functions().get(place, {})
        return [(place, inside[call])] if call in inside else []
    named = [key for key in functions() if key.split("/")[1] == parts[-2]]
    return [(key, functions()[key][parts[-1]]) for key in named if parts[-1] in functions()[key]]


def writes(made: set[str]) -> bool:
    return any(call.rsplit(".", 1)[-1] in WRITES and ("." in call or call == "insert") for call in made)


@pytest.mark.parametrize(("name", "node"), [pytest.param(*each, id=each[0]) for each in actions()])
def test_an_action_that_writes_records_an_event(name, node):
    made = reach(name, node)
    if name in EXEMPT:
        assert not RECORDS & calls(node), f"{name} records an event now: take it off the list"
        return
    if writes(made):
        assert RECORDS & made, f"{name} writes and records nothing"


@pytest.mark.parametrize("name", sorted(EXEMPT))
def test_the_list_names_actions_that_exist(name):
    assert name in dict(actions())
