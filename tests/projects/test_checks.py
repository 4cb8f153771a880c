"""Checks end to end: rules, runs by a worker, results, history, the gate, events, pages, REST."""

import json

import pytest
from django.test import Client

from experiments.models import TrainingJob
from experiments.services import jobs
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from mlportal.lib.lease import WorkState
from projects import pipeline
from projects.models import CheckRun, CheckSet, DatasetVersion, Delivery, Event
from projects.pipeline import check_runs
from projects.services import channels, checks, deliveries
from tests.factories.datasets import CHURN, profiled, upload
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
ROOT = "/p/churn/datasets/churn/"
API = "/api/v1/projects/churn/datasets/churn/"
AGE = {"kind": "range", "columns": ["age"], "min": 0, "max": 40}
PLAN = {"kind": "values", "columns": ["plan"], "allowed": ["basic"], "severity": "warn"}
SPEND = {"kind": "sql", "name": "nobody pays over 100", "query": "SELECT * FROM data WHERE spend > 100"}
SPEC = {"task": "classification", "target": "churned", "algorithm": "logistic_regression"}


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def version(project):
    return profiled(project)


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def api_of(user, project, *scopes: str) -> Client:
    return Client(headers={"authorization": f"Bearer {make_token(user, project, list(scopes))}"})


def checked(version, ana, *rules) -> CheckRun:
    checks.save(actor(ana), dataset=version.dataset, rules=list(rules))
    run = checks.run(actor(ana), version=version)
    assert check_runs.run_checks(run.pk, worker="test") == "succeeded"
    run.refresh_from_db()
    version.refresh_from_db()
    return run


def verbs() -> list[str]:
    return list(Event.objects.filter(verb__startswith="checks.").order_by("seq").values_list("verb", flat=True))


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


# ---------------------------------------------------------------- the gate


def launch(version, user, **extra):
    return jobs.launch(
        actor(user), project=version.dataset.project, experiment="first", dataset_version=version, spec=SPEC, **extra
    )


def test_failed_gate_checks_refuse_a_launch_by_name(version, ana):
    checked(version, ana, AGE, PLAN)
    with pytest.raises(Conflict) as raised:
        launch(version, ana)
    assert raised.value.code == "checks_failed"
    assert raised.value.message == (
        "churn v1 fails 1 check that must pass: age is between 0 and 40 (31 to 45, 1 row at fault)."
    )
    assert not TrainingJob.objects.exists()


def test_failed_warnings_do_not(version, ana):
    checked(version, ana, PLAN)
    assert launch(version, ana).run is not None


def test_a_launch_waits_for_checks_that_must_pass(version, ana):
    checks.save(actor(ana), dataset=version.dataset, rules=[AGE])
    checks.run(actor(ana), version=version)
    with pytest.raises(Conflict, match="is being checked"):
        launch(version, ana)


def test_a_gate_that_could_not_be_measured_stays_shut(version, ana):
    checked(version, ana, {"kind": "sql", "name": "broken", "query": "SELECT nothing FROM data"})
    with pytest.raises(Conflict, match="fails 1 check that must pass: broken"):
        launch(version, ana)


def test_an_override_needs_the_right_and_is_recorded(project, version, ana):
    checked(version, ana, AGE)
    with pytest.raises(Forbidden):
        launch(version, ana, override_reason="I know better")
    chief = make_user("chief", role="admin", project=project)
    job = launch(version, chief, override_reason="One old customer, agreed with legal")
    told = Event.objects.get(verb="job.launched").data["checks_override"]
    assert told["reason"] == "One old customer, agreed with legal"
    assert told["checks"] == ["age is between 0 and 40 (31 to 45, 1 row at fault)"]
    assert "agreed with legal" in str(job.run.tags)


def test_the_api_answers_409_with_the_checks(project, version, ana):
    checked(version, ana, AGE)
    body = {"dataset": "churn", "experiment": "first", "spec": SPEC}
    api = api_of(ana, project, "read", "train", "write")
    answer = api.post("/api/v1/projects/churn/jobs/", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "checks_failed")
    assert "age is between 0 and 40" in answer.json()["message"]


def test_the_launch_page_warns_and_offers_the_override_to_those_who_may(project, version, ana):
    checked(version, ana, AGE)
    page = client_of(ana).get("/p/churn/jobs/new/?dataset=churn").content.decode()
    assert "fails 1 check that must pass" in page
    assert 'name="override_reason"' not in page
    chief = client_of(make_user("chief", role="admin", project=project))
    page = chief.get("/p/churn/jobs/new/?dataset=churn").content.decode()
    assert 'name="override_reason"' in page
    values = {
        "dataset": "churn@1", "target": "churned", "task": "classification", "algorithm": "logistic_regression",
        "experiment": "first", "sent": "1", "test_share": "0.2", "seed": "0", "folds": "0",
    }  # fmt: skip
    refused = chief.post("/p/churn/jobs/new/", values)
    assert refused.status_code == 422
    assert chief.post("/p/churn/jobs/new/", values | {"override_reason": "agreed"}).status_code == 302


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


# ---------------------------------------------------------------- rules one by one


def test_rules_are_added_edited_and_removed(version, ana):
    who, dataset = actor(ana), version.dataset
    key = checks.put(who, dataset=dataset, rule=AGE).rules[0]["key"]
    with pytest.raises(Conflict, match="There is such a check already: age is between 0 and 40"):
        checks.put(who, dataset=dataset, rule=AGE | {"max": 50})
    found = checks.put(who, dataset=dataset, rule=AGE | {"max": 50}, replaces=key)
    assert [(one["key"], one["max"]) for one in found.rules] == [(key, 50)]
    assert checks.remove(who, dataset=dataset, key=key).rules == []
    with pytest.raises(Missing):
        checks.remove(who, dataset=dataset, key=key)


def test_a_new_rule_names_columns_that_are_there_and_an_old_one_may_outlive_its_column(project, version, ana):
    with pytest.raises(Invalid, match=r"There is no column 'years' in churn v1\. Columns: customer, plan"):
        checks.put(actor(ana), dataset=version.dataset, rule=AGE | {"columns": ["years"]})
    checks.put(actor(ana), dataset=version.dataset, rule=AGE)
    profiled(project, b"customer,plan\nx,basic\ny,plus\n")
    checks.put(actor(ana), dataset=version.dataset, rule=PLAN)
    assert len(checks.current(actor(ana), dataset=version.dataset).rules) == 2


def test_suggestions_are_taken_all_or_some_and_then_gone(version, ana):
    who, dataset = actor(ana), version.dataset
    offered = checks.suggested(who, dataset=dataset)
    checks.take(who, dataset=dataset, keys=[offered[0].key])
    assert checks.suggested(who, dataset=dataset) == offered[1:]
    checks.take(who, dataset=dataset)
    assert checks.suggested(who, dataset=dataset) == []
    with pytest.raises(Invalid, match="No suggestion is chosen"):
        checks.take(who, dataset=dataset)
    run = checks.run(who, version=version)
    check_runs.run_checks(run.pk, worker="test")
    run.refresh_from_db()
    assert (run.verdict, run.passed_count) == ("passed", len(offered))


def test_a_viewer_declares_nothing(project, version):
    viewer = actor(make_user("vic", role="viewer", project=project))
    with pytest.raises(Forbidden):
        checks.save(viewer, dataset=version.dataset, rules=[AGE])
    with pytest.raises(Forbidden):
        checks.run(viewer, version=version)


def test_a_channel_is_told(project, version, ana):
    chief = actor(make_user("chief", role="admin", project=project))
    channels.create(
        chief, project=project, name="desk", kind="email", recipients=["a@example.org"], verbs=["checks.failed"]
    )
    checked(version, ana, AGE)
    event = Event.objects.get(verb="checks.failed")
    deliveries.fan_out(event.deliveries.get(task="projects.notify").pk)
    message = Delivery.objects.get()
    assert message.subject == "[Churn] checks failed: churn v1"
    assert message.payload["data"]["link"].endswith("/p/churn/datasets/churn/v/1/checks/")


# ---------------------------------------------------------------- pages


def test_the_tab_shows_what_was_found(version, ana):
    page = client_of(ana).get(f"{ROOT}v/1/checks/").content.decode()
    assert "No checks yet" in page
    checked(version, ana, AGE, PLAN, SPEND)
    page = client_of(ana).get(f"{ROOT}v/1/checks/").content.decode()
    assert "1 of 3 checks hold. 1 must hold and does not, so training on it is refused. 1 only warns." in page
    assert page.index("age is between 0 and 40") < page.index("plan is one of basic") < page.index("nobody pays")
    assert "1 row at fault" in page
    assert "checks fail" in page


def test_a_run_under_way_polls_and_reloads_when_done(version, ana):
    client = client_of(ana)
    checks.save(actor(ana), dataset=version.dataset, rules=[AGE])
    assert client.post(f"{ROOT}v/1/checks/").status_code == 303
    assert "every 1s" in client.get(f"{ROOT}v/1/checks/").content.decode()
    assert "HX-Refresh" not in client.get(f"{ROOT}v/1/checks/progress/")
    check_runs.run_checks(CheckRun.objects.get().pk, worker="test")
    assert client.get(f"{ROOT}v/1/checks/progress/")["HX-Refresh"] == "true"


def test_suggestions_are_taken_with_one_click(version, ana):
    client = client_of(ana)
    page = client.get(f"{ROOT}checks/").content.decode()
    assert page.count('name="take"') == len(checks.suggested(actor(ana), dataset=version.dataset))
    keys = [one.key for one in checks.suggested(actor(ana), dataset=version.dataset)][:3]
    assert client.post(f"{ROOT}checks/", {"take": keys}).status_code == 303
    assert len(checks.current(actor(ana), dataset=version.dataset).rules) == 3
    assert client.post(f"{ROOT}checks/").status_code == 422


@pytest.mark.parametrize(
    ("kind", "values", "stored"),
    [
        ("range", {"columns": "age", "min": "0", "max": "99.5"}, {"min": 0, "max": 99.5}),
        ("range", {"columns": "joined", "min": "2024-01-01"}, {"min": "2024-01-01T00:00:00"}),
        ("nulls", {"columns": "age", "max_share": "5"}, {"max_share": 0.05}),
        ("unique", {"columns": ["plan", "age"]}, {}),
        ("values", {"columns": "plan", "allowed": "basic\r\nplus\r\n"}, {"allowed": ["basic", "plus"]}),
        ("pattern", {"columns": "customer", "regex": "c-[0-9]+"}, {"regex": "c-[0-9]+"}),
        ("length", {"columns": "customer", "max": "9"}, {"max": 9}),
        ("share", {"columns": "churned", "value": "true", "max": "90"}, {"value": "true", "max": 0.9}),
        ("freshness", {"columns": "", "max_age_hours": "24"}, {"max_age_hours": 24.0}),
        ("rows", {"min": "1", "change": "3"}, {"min": 1, "change": 0.03}),
        ("columns", {"names": "age\nplan", "exact": "on"}, {"names": ["age", "plan"], "exact": True}),
        ("type", {"columns": "age", "is": "integer"}, {"is": "integer"}),
        ("sql", {"query": "SELECT 1 WHERE false", "name": "never"}, {"query": "SELECT 1 WHERE false"}),
    ],
)  # fmt: skip
def test_each_kind_can_be_written_in_its_form_and_read_back(version, ana, kind, values, stored):
    client = client_of(ana)
    assert client.get(f"{ROOT}checks/new/?kind={kind}").status_code == 200
    answer = client.post(f"{ROOT}checks/new/", {"kind": kind, "severity": "gate", **values})
    assert answer.status_code == 303, answer.content.decode()
    (rule,) = checks.current(actor(ana), dataset=version.dataset).rules
    assert {name: rule[name] for name in stored} == stored
    form = client.get(f"{ROOT}checks/{rule['key']}/").context["form"]
    again = {name: value for name, value in form.initial.items() if value is not False and value != ""}
    assert client.post(f"{ROOT}checks/{rule['key']}/", {"kind": kind, **again}).status_code == 303
    assert checks.current(actor(ana), dataset=version.dataset).rules == [rule]


def test_a_wrong_value_is_shown_at_its_field(version, ana):
    client = client_of(ana)
    answer = client.post(
        f"{ROOT}checks/new/", {"kind": "range", "columns": "age", "severity": "gate", "min": "9", "max": "1"}
    )
    assert answer.status_code == 422
    assert answer.context["form"].errors["max"] == ["max is 1, which is below min, 9."]
    assert client.get(f"{ROOT}checks/new/?kind=magic").status_code == 400
    assert client.get(f"{ROOT}checks/nothing/").status_code == 404


def test_a_check_is_removed_on_its_page(version, ana):
    key = checks.put(actor(ana), dataset=version.dataset, rule=AGE).rules[0]["key"]
    assert client_of(ana).post(f"{ROOT}checks/{key}/", {"remove": "1"}).status_code == 303
    assert checks.current(actor(ana), dataset=version.dataset).rules == []


@pytest.mark.parametrize("count", [1, 3])
def test_the_tab_costs_the_same_queries(version, ana, django_assert_num_queries, count):
    checked(version, ana, *[AGE, PLAN, SPEND][:count])
    client = client_of(ana)
    client.get(f"{ROOT}v/1/checks/")
    with django_assert_num_queries(19):
        client.get(f"{ROOT}v/1/checks/")


def test_markup_in_rows_at_fault_is_text(project, ana):
    version = profiled(project, b"t,n\n<script>alert(1)</script>,1\nz,2\n")
    checked(version, ana, {"kind": "values", "columns": ["t"], "allowed": ["<b>"]})
    assert "<script>alert" not in client_of(ana).get(f"{ROOT}v/1/checks/").content.decode()


# ---------------------------------------------------------------- REST


def test_rules_runs_and_results_over_rest(project, version, ana):
    api = api_of(ana, project, "read", "write")
    put = api.put(f"{API}checks/", json.dumps({"rules": [AGE, SPEND]}), content_type="application/json")
    assert (put.status_code, put.json()["number"]) == (200, 1)
    assert put.json()["rules"][0]["sentence"] == "age is between 0 and 40"
    again = api.put(f"{API}checks/", json.dumps({"rules": put.json()["rules"]}), content_type="application/json")
    assert again.json()["rules"] == api.get(f"{API}checks/").json()["rules"]
    assert api.get(f"{API}versions/1/checks/").status_code == 404
    queued = api.post(f"{API}versions/1/checks/")
    assert (queued.status_code, queued.json()["state"]) == (202, "queued")
    check_runs.run_checks(queued.json()["id"], worker="test")
    body = api.get(f"{API}versions/1/checks/").json()
    assert (body["verdict"], [one["outcome"] for one in body["results"]]) == ("failed", ["failed", "passed"])
    assert body["results"][0]["sample"]["rows"][0][:2] == [2, 45]
    (past, _) = api.get(f"{API}checks/history/").json()
    assert past["versions"] == [{"version": 1, "outcome": "failed", "measured": 1.0, "limit": "0 to 40"}]


def test_suggestions_over_rest(project, version, ana):
    api = api_of(ana, project, "read", "write")
    offered = api.get(f"{API}checks/suggestions/").json()
    taken = api.post(f"{API}checks/suggestions/", {}, content_type="application/json").json()
    assert [one["key"] for one in taken["rules"]] == [one["key"] for one in offered]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rules": "x"}, "rules"),
        ({}, "rules"),
        ([], "rules"),
        ({"rules": [AGE | {"max": -1}]}, "rules[0].max"),
        ({"rules": [AGE | {"columns": ["nope"]}]}, "columns"),
    ],
)
def test_wrong_rules_over_rest_are_named(project, version, ana, body, field):
    api = api_of(ana, project, "read", "write")
    answer = api.put(f"{API}checks/", json.dumps(body), content_type="application/json")
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_a_version_that_is_not_ready_is_not_checked(project, ana):
    version = upload(project)
    api = api_of(ana, project, "read", "write")
    assert api.post(f"{API}versions/1/checks/").status_code == 409
    pipeline.profile_version(version.pk, worker="test")
    assert api.post(f"{API}versions/1/checks/").json()["code"] == "no_checks"
    assert DatasetVersion.objects.get().check_state == "none"


def test_a_token_that_may_only_write_takes_suggestions_and_runs_them(project, version, ana):
    api = api_of(ana, project, "write")
    assert api.post(f"{API}checks/suggestions/", {}, content_type="application/json").status_code == 200
    queued = api.post(f"{API}versions/1/checks/")
    assert (queued.status_code, queued.json()["results"]) == (202, [])
    assert api.get(f"{API}versions/1/checks/").status_code == 403
