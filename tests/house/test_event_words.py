"""The activity feed tells every change inside a project as a sentence that somebody wrote."""

import ast
from collections.abc import Iterator

import pytest
from django.db import transaction

from deployments.models import PromotionRequest, Rollout
from experiments.models import Run
from mlportal.views import activity
from mlportal.views.event_words import WORDS
from projects.actor import Actor
from projects.services import events
from tests.factories.projects import make_project
from tests.house.test_services import APPS, ROOT

# Verbs that are put together from a state.
FROM_STATES = {
    *(f"promotion.{state}" for state in set(PromotionRequest.State.values) - {"pending"}),
    *(f"rollout.{state}" for state in (Rollout.State.ABORTED, Rollout.State.PROMOTED)),
    *(f"run.{state}" for state in (Run.State.FINISHED, Run.State.FAILED, Run.State.CANCELLED)),
    "endpoint.disabled", "endpoint.enabled",
}  # fmt: skip


def recorded() -> Iterator[tuple[str, str]]:
    """Where an event inside a project is recorded, and its verb."""
    for path in (path for app in APPS for path in sorted((ROOT / app).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("events.record", "record") and node.args[1:]:
                outside = any(word.arg == "project" and ast.unparse(word.value) == "None" for word in node.keywords)
                for part in () if outside else ast.walk(node.args[1]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str) and "." in part.value[1:-1]:
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", part.value


def test_every_change_inside_a_project_has_words():
    found = dict(recorded())
    assert len(found) > 150
    assert {place: verb for place, verb in found.items() if verb not in WORDS} == {}
    assert FROM_STATES - set(WORDS) == set()


@pytest.mark.django_db
def test_a_part_that_moves_itself_is_the_portal():
    project = make_project("churn")
    with transaction.atomic():
        events.record(Actor.system(project.name, project=project), "rollout.moved", project=project, target=project)
    line = activity.of(project)[0]
    assert (line.name, line.words, line.target) == ("The portal", "moved", project.name)


@pytest.mark.django_db
def test_a_sentence_begins_with_a_capital_unless_it_names_an_account():
    project = make_project("churn")
    with transaction.atomic():
        events.record(Actor.system("evaluation", project=project), "rollout.moved", project=project, target=project)
        events.record(Actor(kind="token", name="ci-bot"), "rollout.moved", project=project, target=project)
    assert [line.name for line in activity.of(project)] == ["ci-bot", "Evaluation"]
