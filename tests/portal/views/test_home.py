"""Home, inbox, overview, badges, search, error pages."""

from datetime import timedelta

import pytest
from django.test import RequestFactory
from django.urls import resolve
from django.utils import timezone

from experiments.models import TrainingJob
from mlportal.lib.lease import WorkState
from mlportal.views import errors, waiting
from monitoring.models import Alert, Window
from projects.models import Membership
from projects.services import access_requests, members, service_accounts, tokens
from tests.factories.experiments import log, make_experiment, make_run
from tests.factories.jobs import make_job
from tests.factories.monitoring import make_monitor, make_rule
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def churn(db):
    return make_project()


@pytest.fixture
def ops(churn):
    return make_user("olu", role="ops", project=churn)


@pytest.fixture
def as_ops(client, ops):
    client.force_login(ops)
    return client


def make_alert(project, number: int = 1, **extra: object) -> Alert:
    rule = make_rule(project, f"rule {number}")
    now = timezone.now()
    usual = {
        "state": "firing", "severity": "critical", "severity_rank": 0, "title": f"column{number} drifted",
        "fingerprint": f"{number:064}", "column": f"column{number}", "opened_at": now, "changed_at": now,
    }  # fmt: skip
    return Alert.objects.create(project=project, rule=rule, **{**usual, **extra})


def fill(project, count: int) -> None:
    """Runs, alerts and events."""
    experiment = make_experiment(project)
    for number in range(count):
        run = make_run(experiment, f"run {number}")
        log(run, "roc_auc", [0.7, 0.8 + number / 100])
        log(run, "log_loss", [0.4])
        make_alert(project, number)
        boss = make_user(f"boss{number}", role="admin", project=project)
        tokens.create(actor(boss), project=project, name=f"t{number}", scopes=["read"])


def test_home_without_a_project_says_how_to_start(client):
    client.force_login(make_user("root", is_site_admin=True))
    assert "Start here" in client.get("/").content.decode()
    client.force_login(make_user("new"))
    assert "You belong to no project yet" in client.get("/").content.decode()


def test_home_lists_what_waits(as_ops, churn):
    make_alert(churn)
    page = as_ops.get("/")
    assert [item.title for item in page.context["items"]] == ["column1 drifted"]
    assert "1 thing waits for you" in page.content.decode()


def test_alerts_wait_for_those_who_handle_them(churn, ops):
    make_alert(churn)
    make_alert(churn, 2, acknowledged_at=timezone.now())
    make_alert(churn, 3, state="resolved")
    make_alert(make_project("other"), 4)
    assert [item.title for item in waiting.for_person(actor(ops))] == ["column1 drifted"]
    assert waiting.count(actor(ops)) == 1
    for role in ("viewer", "scientist", "manager"):
        assert waiting.for_person(actor(make_user(role, role=role, project=churn))) == []


def test_own_failed_jobs_wait_for_three_days(churn):
    job = make_job(churn)
    sam = job.created_by
    TrainingJob.objects.update(
        state=WorkState.FAILED, failure="memory limit 512 MB\ndetails", ended_at=timezone.now(), lease_until=None
    )
    assert [item.title for item in waiting.for_person(actor(sam))] == [f"Job {job.pk} failed: memory limit 512 MB"]
    assert waiting.for_person(actor(make_user("other", role="scientist", project=churn))) == []
    TrainingJob.objects.update(ended_at=timezone.now() - timedelta(days=4))
    assert waiting.for_person(actor(sam)) == []


def test_each_kind_of_item_says_which_rest_address_acts_on_it(churn, client):
    ana, mei = make_user("ana", role="admin", project=churn), make_user("mei", role="viewer", project=churn)
    make_alert(churn)
    service_accounts.create(actor(ana), project=churn, name="ci", owner=mei, role="viewer")
    churn.memberships.filter(user=mei).delete()
    access_requests.ask(actor(mei), slug="churn", role="viewer", reason="Back again.")
    headers = {"Authorization": f"Bearer {make_token(ana, churn, ['read'])}"}
    found = {item["kind"]: item["call"] for item in client.get("/api/v1/inbox/", headers=headers).json()}
    assert set(found) == {"alert", "service_account", "access_request"}
    for address in found.values():
        assert resolve(address).func.view_class.permissions
    reading = make_token(ana, churn, ["read", "admin"])
    for kind in ("alert", "service_account"):
        answer = client.get(found[kind], headers={"Authorization": f"Bearer {reading}"})
        assert answer.status_code == 200, kind


def test_nothing_waits_for_a_removed_member(churn, ops):
    make_alert(churn)
    Membership.objects.filter(user=ops).update(valid_to=timezone.now())
    assert waiting.for_person(actor(ops)) == []


@pytest.mark.parametrize("count", [1, 3])
def test_home_takes_the_same_queries(as_ops, churn, count, django_assert_num_queries):
    fill(churn, count)
    with django_assert_num_queries(17):
        as_ops.get("/")


@pytest.mark.parametrize("count", [1, 3])
def test_inbox_takes_the_same_queries(as_ops, churn, count, django_assert_num_queries):
    fill(churn, count)
    with django_assert_num_queries(17):
        assert as_ops.get("/inbox/").context["item_count"] == count


@pytest.mark.parametrize("count", [1, 3])
def test_overview_takes_the_same_queries(as_ops, churn, count, django_assert_num_queries):
    fill(churn, count)
    as_ops.get("/p/churn/")
    with django_assert_num_queries(34):
        page = as_ops.get("/p/churn/")
    assert len(page.context["recent"].runs) == count
    assert page.context["recent"].heads == ["ROC AUC ↑", "Log loss ↓"]
    assert [step.title for step in page.context["rail"]][-1] == "Drift"


@pytest.mark.parametrize(("drifted", "words"), [(0, "Drift"), (1, "1 feature drifted"), (10, "10 features drifted")])
def test_overview_counts_the_features_that_one_alert_stands_for(as_ops, churn, drifted, words):
    monitor = make_monitor(churn)
    now = timezone.now()
    for hours, count in ((2, 7), (1, drifted)):
        Window.objects.create(
            monitor=monitor, starts_at=now - timedelta(hours=hours), ends_at=now - timedelta(hours=hours - 1), rows=500,
            verdict="alert", drifted=count, computed_at=now,
        )  # fmt: skip
    make_alert(churn, monitor=monitor)
    assert [step.title for step in as_ops.get("/p/churn/").context["rail"]][-1] == words


def test_empty_places_say_what_would_wait_there(as_ops):
    for address in ("/", "/inbox/"):
        assert "comments that call you appear here" in as_ops.get(address).content.decode()


def test_overview_of_an_empty_project_says_what_comes_next(as_ops):
    page = as_ops.get("/p/churn/")
    assert [step.title for step in page.context["rail"]] == [
        "No dataset yet", "No run yet", "No model yet", "Nothing is live", "Nothing open",
    ]  # fmt: skip
    assert "No runs yet" in page.content.decode()


def test_overview_tells_what_happened(as_ops, churn):
    boss = make_user("boss", role="admin", project=churn)
    members.add(actor(boss), project=churn, user=make_user("mei"), role="viewer")
    line = as_ops.get("/p/churn/").context["activity"][0]
    assert (line.name, line.words, line.target) == ("boss", "added", "mei")


def test_badges(as_ops, churn):
    make_alert(churn)
    make_job(churn)
    page = as_ops.get("/shell/?project=churn")
    assert [page.context[name] for name in ("jobs", "alerts", "inbox")] == [1, 1, 1]
    page = as_ops.get("/shell/?project=unknown")
    assert [page.context[name] for name in ("jobs", "alerts", "inbox")] == [0, 0, 1]


def hits(client, words: str, **more: str) -> list[str]:
    return [hit.href for hit in client.get("/search/", {"q": words, **more}).context["hits"]]


def test_search_finds_names_and_run_numbers(as_ops, churn):
    run = make_run(make_experiment(churn, "gbm-line"), "deep forest")
    assert hits(as_ops, "CHURN") == ["/p/churn/"]
    assert hits(as_ops, "deep") == [f"/p/churn/runs/{run.pk}/"]
    assert hits(as_ops, f"run {run.pk}") == [f"/p/churn/runs/{run.pk}/"]
    assert hits(as_ops, "gbm") == ["/p/churn/experiments/gbm-line/"]
    assert hits(as_ops, "") == []
    assert hits(as_ops, "x" * 3000) == []


def test_search_shows_only_what_the_person_may_see(as_ops):
    make_run(make_experiment(make_project("secret"), "hidden"), "hidden run")
    assert hits(as_ops, "hidden") == hits(as_ops, "secret") == []


def test_search_puts_this_project_first(client, churn):
    root = make_user("boss", is_site_admin=True)
    client.force_login(root)
    for project in (make_project("aaa"), churn):
        make_experiment(project, "line")
    assert hits(client, "line", project="churn")[0] == "/p/churn/experiments/line/"


def test_search_for_the_palette_is_a_list(as_ops):
    page = as_ops.get("/search/", {"q": "churn"}, headers={"HX-Request": "true"}).content.decode()
    assert page.count('role="option"') == 1
    assert "<html" not in page


def test_a_wrong_address_is_a_page(as_ops):
    page = as_ops.get("/nowhere/")
    assert (page.status_code, "There is nothing at this address." in page.content.decode()) == (404, True)


@pytest.mark.parametrize(("address", "kind"), [("/", "text/html"), ("/api/v1/x/", "application/problem+json")])
def test_a_defect_is_answered_without_the_database(address, kind, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = errors.server_error(RequestFactory().get(address))
    assert (response.status_code, response["Content-Type"].partition(";")[0]) == (500, kind)
    assert "Nothing you entered was lost" in response.content.decode()


def test_an_expired_form_says_so(client):
    from django.test import Client

    response = Client(enforce_csrf_checks=True).post("/sign-in/", {"username": "a", "password": "b"})
    assert (response.status_code, "This form has expired" in response.content.decode()) == (403, True)
