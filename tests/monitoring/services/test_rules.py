"""Rules: what is allowed, what is refused, and stale edits."""

import pytest

from mlportal.lib.errors import Conflict, Forbidden, Invalid
from monitoring.models import AlertRule
from monitoring.services import rules
from projects.models import Event
from tests.factories.monitoring import make_rule, watcher
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db
GOOD = {"name": "Age drift", "metric": "drift.psi", "warn": 0.1, "critical": 0.25, "column": "age"}


def test_create_stores_a_rule_and_one_event():
    project = make_project()
    rule = rules.create(watcher(project), project=project, **GOOD)
    assert (rule.pk is not None, rule.name_key, rule.enabled) == (True, "age drift", True)
    assert Event.objects.get(verb="rule.created").data["critical"] == "0.25"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"metric": "drift.magic"}, "metric"),
        ({"metric": ["drift.psi"]}, "metric"),
        ({"warn": "0.1"}, "warn"),
        ({"warn": float("nan")}, "warn"),
        ({"warn": True}, "warn"),
        ({"critical": 1e300}, "critical"),
        ({"warn": None, "critical": None}, "warn"),
        ({"warn": 0.5}, "critical"),
        ({"op": "below"}, "critical"),
        ({"clear": 0.2}, "clear"),
        ({"needed": 4}, "needed"),
        ({"of": 21}, "of"),
        ({"keep_firing": -1}, "keep_firing"),
        ({"min_samples": 1.5}, "min_samples"),
        ({"enabled": "yes"}, "enabled"),
        ({"severity": "awful"}, "severity"),
        ({"metric": "error.rate"}, "column"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_create_refuses(change, field):
    project = make_project()
    with pytest.raises(Invalid) as raised:
        rules.create(watcher(project), project=project, **(GOOD | change))
    assert raised.value.field == field
    assert not AlertRule.objects.exists()


def test_all_faults_are_told_at_once():
    project = make_project()
    with pytest.raises(Invalid) as raised:
        rules.create(watcher(project), project=project, **(GOOD | {"warn": "x", "needed": 0}))
    assert [fault["field"] for fault in raised.value.errors] == ["warn", "needed"]


@pytest.mark.parametrize("missing", ["name", "metric"])
def test_name_and_metric_are_needed(missing):
    project = make_project()
    with pytest.raises(Invalid) as raised:
        rules.create(watcher(project), project=project, **{key: value for key, value in GOOD.items() if key != missing})
    assert raised.value.field == missing


def test_names_differ_in_more_than_case():
    project = make_project()
    rules.create(watcher(project), project=project, **GOOD)
    with pytest.raises(Conflict):
        rules.create(watcher(project), project=project, **(GOOD | {"name": "AGE DRIFT"}))


def test_update_counts_revisions_and_refuses_stale_ones():
    project = make_project()
    rule = make_rule(project)
    assert rules.update(watcher(project), rule=rule, revision=1, warn=0.2).revision == 2
    with pytest.raises(Conflict):
        rules.update(watcher(project), rule=rule, revision=1, warn=0.3)
    assert AlertRule.objects.get().warn == 0.2


def test_update_checks_the_whole_rule():
    project = make_project()
    with pytest.raises(Invalid):
        rules.update(watcher(project), rule=make_rule(project), warn=0.9)


def test_limits_below_run_the_other_way():
    project = make_project()
    fields = {"name": "Few", "metric": "traffic.requests", "op": "below", "warn": 10, "critical": 1, "clear": 20}
    assert rules.create(watcher(project), project=project, **fields).clear == 20.0


@pytest.mark.parametrize("role", ["viewer", "scientist", "manager"])
def test_rules_need_the_right(role):
    project = make_project()
    rule = make_rule(project)
    by = actor(make_user("eve", role=role, project=project))
    for action in (
        lambda: rules.create(by, project=project, **GOOD),
        lambda: rules.update(by, rule=rule, warn=0.2),
        lambda: rules.disable(by, rule=rule),
        lambda: rules.add_defaults(by, project=project),
    ):
        with pytest.raises(Forbidden):
            action()
