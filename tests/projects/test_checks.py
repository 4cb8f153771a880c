"""Checks of a dataset: sets of rules, runs by a worker, results, history, leases."""

import pytest

from mlportal.lib.errors import Conflict
from mlportal.lib.lease import WorkState
from projects.models import CheckRun, CheckSet, Event
from projects.pipeline import check_runs
from projects.services import checks
from tests.factories.datasets import CHURN, profiled
from tests.factories.projects import actor, make_project, make_user
from tests.projects.checking import AGE, PLAN, SPEND, checked, launch, verbs

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def version(project):
    return profiled(project)


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


def test_a_run_stores_what_each_check_found(version, ana):
    run = checked(version, ana, AGE, PLAN, SPEND)
    assert (run.verdict, run.passed_count, run.failed_count, version.check_state) == ("failed", 1, 2, "failed")
    found = {one.kind: (one.outcome, one.shown) for one in run.results.all()}
    assert found == {
        "range": ("failed", "31 to 45, 1 row at fault"),
        "values": ("failed", "also plus, 1 row at fault"),
        "sql": ("passed", "0 rows"),
    }
    assert verbs() == ["checks.saved", "checks.requested", "checks.failed"]
    told = Event.objects.get(verb="checks.failed").data
    assert (told["failed"], told["checks"]) == (2, ["age is between 0 and 40", "plan is one of basic"])


def test_every_new_version_is_checked_after_its_profile(project, version, ana):
    checks.save(actor(ana), dataset=version.dataset, rules=[SPEND])
    second = profiled(project, CHURN + b"c-4,basic,30,500,2024-04-01,true\n")
    run = second.check_runs.get()
    assert run.state == WorkState.QUEUED
    check_runs.run_checks(run.pk, worker="test")
    second.refresh_from_db()
    assert second.check_state == "failed"
    assert run.results.get().sample["rows"] == [["c-4", "basic", 30, 500.0, "2024-04-01 00:00:00", True]]


def test_without_rules_nothing_is_queued(version):
    assert not CheckRun.objects.exists()
    assert version.check_state == "none"


def test_a_set_that_a_run_has_used_never_changes(version, ana):
    checks.save(actor(ana), dataset=version.dataset, rules=[AGE])
    checks.save(actor(ana), dataset=version.dataset, rules=[AGE, PLAN])
    assert [(one.number, len(one.rules)) for one in CheckSet.objects.all()] == [(1, 2)]
    run = checked(version, ana, AGE, PLAN)
    checks.save(actor(ana), dataset=version.dataset, rules=[AGE])
    assert [(one.number, len(one.rules)) for one in CheckSet.objects.order_by("number")] == [(1, 2), (2, 1)]
    assert CheckRun.objects.get(pk=run.pk).check_set.number == 1


def test_saving_the_same_rules_changes_nothing(version, ana):
    for _ in range(2):
        checks.save(actor(ana), dataset=version.dataset, rules=[AGE])
    assert verbs() == ["checks.saved"]


def test_history_follows_a_check_over_versions_and_limits(project, version, ana):
    checked(version, ana, AGE)
    second = profiled(project, CHURN + b"c-4,basic,60,1,2024-04-01,true\n")
    check_runs.run_checks(second.check_runs.get().pk, worker="test")
    checked(second, ana, AGE | {"max": 70})
    (past,) = checks.history(actor(ana), dataset=version.dataset).values()
    assert [(one.run.version.number, one.outcome, one.limit) for one in past] == [
        (1, "failed", "0 to 40"),
        (2, "passed", "0 to 70"),
    ]


def test_a_run_is_not_asked_for_twice(version, ana):
    checks.save(actor(ana), dataset=version.dataset, rules=[AGE])
    first = checks.run(actor(ana), version=version)
    assert checks.run(actor(ana), version=version) == first


def test_a_query_that_crashes_its_process_is_a_result(version, ana):
    deep = "SELECT " + "(" * 4_900 + "1" + ")" * 4_900
    run = checked(version, ana, {"kind": "sql", "name": "deep", "query": deep}, AGE | {"max": 99})
    found = {one.kind: one.outcome for one in run.results.all()}
    assert found == {"sql": "error", "range": "passed"}
    assert (run.verdict, version.check_state) == ("error", "error")


def test_a_query_over_its_time_is_a_result(version, ana, settings):
    settings.CHECK_SQL_SECONDS = 1
    query = "SELECT count(*) FROM range(100000000000000)"
    run = checked(version, ana, {"kind": "sql", "name": "slow", "query": query})
    assert run.results.get().message == "The query took longer than 1 seconds, which is the limit."


# ---------------------------------------------------------------- leases


def test_a_second_message_does_nothing(version, ana):
    run = checked(version, ana, AGE)
    assert check_runs.run_checks(run.pk, worker="late") == "not claimed"
    assert run.results.count() == 1


def test_a_silent_worker_is_replaced(version, ana):
    from datetime import timedelta

    from django.db.models.functions import Now

    from mlportal.lib import lease

    checks.save(actor(ana), dataset=version.dataset, rules=[AGE])
    run = checks.run(actor(ana), version=version)
    held = lease.claim(CheckRun.objects.all(), run.pk, worker="doomed")
    CheckRun.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(seconds=1))
    assert check_runs.sweep_checks()["moved"] == 1
    assert check_runs.run_checks(run.pk, worker="second") == "succeeded"
    assert check_runs._settle(run, held, []) == "fenced"
    assert (run.results.count(), verbs()[-1]) == (1, "checks.failed")
    assert verbs().count("checks.failed") == 1


def test_a_run_that_is_interrupted_each_time_ends_and_shuts_the_gate(version, ana, settings):
    from mlportal.lib import lease

    settings.MAX_ATTEMPTS = 1
    settings.LEASE_SECONDS = -1
    checks.save(actor(ana), dataset=version.dataset, rules=[AGE])
    run = checks.run(actor(ana), version=version)
    lease.claim(CheckRun.objects.all(), run.pk, worker="doomed")
    check_runs.sweep_checks()
    version.refresh_from_db()
    assert version.check_state == "error"
    with pytest.raises(Conflict, match="could not be checked: Interrupted 1 times"):
        launch(version, ana)
