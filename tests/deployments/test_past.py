"""The time machine: what was in production at a moment, who had allowed it, and the answer as files."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from deployments.models import Alias, Endpoint, EndpointInterval
from deployments.proof import filed
from deployments.services import aliases, endpoints, packs, past, policies
from mlportal.cli import main
from mlportal.lib.moments import Span
from projects.models import Event, Membership
from projects.services import accounts, members
from projects.services import past as people
from tests.factories.deployments import Team, environment, make_live, make_team, make_trained_run, make_version
from tests.factories.projects import PASSWORD, actor, make_token, make_user

pytestmark = pytest.mark.django_db
MARCH = datetime(2026, 3, 12, 14, 0, tzinfo=UTC)
DAY = "2026-03-12"


def at(moment: datetime) -> Span:
    return Span(moment, moment)


def happened(team: Team) -> Endpoint:
    """Version 1 from 1 March, version 2 from 12 March 15:00, back to version 1 since 13 March."""
    first = make_live(team)
    second = make_version(team, run=make_trained_run(team, files=None))
    endpoint = make_live(team, version=second)
    endpoints.rollback(team.ops, endpoint=endpoint, reason="Complaints from the branch offices.")
    moves = [datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 12, 15, tzinfo=UTC), datetime(2026, 3, 13, tzinfo=UTC)]
    spans = list(EndpointInterval.objects.filter(endpoint=first).order_by("pk"))
    for interval, begun, ended in zip(spans, moves, [*moves[1:], None], strict=True):
        EndpointInterval.objects.filter(pk=interval.pk).update(valid_from=begun, valid_to=ended)
    Membership.objects.update(valid_from=moves[0] - timedelta(days=9))
    return first


@pytest.fixture(scope="module")
def made(django_db_setup, django_db_blocker) -> Iterator[tuple[Team, Endpoint]]:
    """A team and its history, made once, in a transaction around all tests here: each is rolled back to it."""
    with django_db_blocker.unblock(), transaction.atomic():
        team = make_team()
        yield team, happened(team)
        transaction.set_rollback(True)


@pytest.fixture
def both(db, made) -> tuple[Team, Endpoint]:
    """Copies, since an object remembers what a test asked it."""
    return deepcopy(made)


@pytest.fixture
def team(both):
    return both[0]


@pytest.fixture
def history(both):
    return both[1]


@pytest.mark.parametrize(
    ("moment", "answering"),
    [(MARCH, ["churn v1"]), (MARCH + timedelta(hours=1), ["churn v2"]), (MARCH + timedelta(days=2), ["churn v1"]),
     (MARCH - timedelta(days=30), [])],
)  # fmt: skip
def test_what_answered_at_a_moment(team, history, moment, answering):
    assert [row["answering"] for row in past.traffic(team.project, at(moment))] == answering


def test_a_day_tells_of_everything_that_answered_on_it(team, history):
    day = Span(datetime(2026, 3, 12, tzinfo=UTC), datetime(2026, 3, 13, tzinfo=UTC) - timedelta(microseconds=1), True)
    assert [row["version"] for row in past.traffic(team.project, day)] == [1, 2]


def test_who_allowed_it_comes_with_it(team, history):
    [row] = past.traffic(team.project, at(MARCH))
    asked = row["promotion"]
    assert (asked["requested_by"], asked["reason"]) == ("churn-scientist2", "Better on recent customers.")
    assert [(said["by"], said["verdict"]) for said in asked["decisions"]] == [("churn-manager", "approved")]
    assert (asked["policy"]["name"], len(asked["seal"])) == ("production policy 1", 64)
    now = Span(timezone.now(), timezone.now())
    [row] = past.traffic(team.project, now)
    verbs = [line["verb"] for line in row["entries"]]
    assert {"promotion.approved", "endpoint.switched", "endpoint.rolled_back"} <= set(verbs)
    assert (row["kind"], row["switched_by"], row["reason"]) == (
        "rollback", "churn-ops", "Complaints from the branch offices.",
    )  # fmt: skip


def test_more_history_asks_no_more(team, history, django_assert_max_num_queries):
    with django_assert_max_num_queries(5):
        past.traffic(team.project, at(MARCH))
    everything = Span(MARCH - timedelta(days=99), timezone.now())
    with django_assert_max_num_queries(5):
        assert len(past.traffic(team.project, everything)) == 3


def test_aliases_and_rules_as_they_were(team, history):
    version = history.model.versions.get(number=1)
    aliases.point(team.scientist, version=version, name="champion")
    Alias.objects.update(valid_from=MARCH - timedelta(days=1), valid_to=MARCH + timedelta(days=1))
    [section] = past.aliases(history.model, at(MARCH))
    assert [(row["alias"], row["version"]) for row in section.rows] == [("champion", "v1")]
    assert past.aliases(history.model, at(MARCH + timedelta(days=2)))[0].rows == []
    place = environment(team)
    assert past.policies(team.project, at(MARCH), environment=place)[0].rows == []
    assert [row["number"] for row in past.policies(team.project, at(timezone.now()), environment=place)[0].rows] == [1]
    assert policies.current(place).number == 1


def test_who_could_have_approved_on_that_day(team):
    project = team.project
    Membership.objects.update(valid_from=MARCH - timedelta(days=9))
    root = actor(project.created_by)
    held = project.memberships.get(user=team.people["manager2"])
    members.remove(team.admin, member=held)
    Membership.objects.filter(pk=held.pk).update(valid_to=MARCH - timedelta(days=1))
    now = Span(timezone.now(), timezone.now())
    accounts.deactivate(root, user=team.people["manager"])

    def approvers(span):
        return [row["username"] for row in people.members(project, span)[0].rows if row["could_approve"]]

    assert approvers(at(MARCH - timedelta(days=2))) == ["churn-manager", "churn-manager2"]
    assert approvers(now) == ["churn-manager"]
    assert approvers(Span(timezone.now() + timedelta(seconds=2), timezone.now() + timedelta(seconds=2))) == []


# ---------------------------------------------------------------- pages


@pytest.fixture
def as_manager(client, team):
    assert client.login(username="churn-manager", password=PASSWORD)
    return client


PAGES = [
    "models/", "models/churn/", "models/churn/v/1/", "deployments/", "deployments/churn-production/",
    "settings/members/", "settings/policies/", "alerts/", "settings/audit/production/",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_each_page_shows_how_it_was_and_the_way_back(as_manager, team, history, page):
    answer = as_manager.get(f"/p/churn/{page}?as_of=2026-03-12T14:00")
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "As it was on 12 March 2026 14:00 UTC." in text
    assert f'href="/p/churn/{page}">' in text
    assert "churn v2" not in text
    assert as_manager.get(f"/p/churn/{page}?as_of=").status_code == 200
    assert 'name="as_of"' in as_manager.get(f"/p/churn/{page}").content.decode()


def test_a_long_table_says_which_rows_it_shows_and_goes_on(as_manager, team, history, monkeypatch):
    version = history.model.versions.get(number=1)
    for number in range(6):
        aliases.point(team.scientist, version=version, name=f"a{number}")
    Alias.objects.update(valid_from=MARCH)
    monkeypatch.setattr(people, "SHOWN", 2)
    address = "/p/churn/models/churn/?as_of=2026-03-12T14:00"

    def shown(start: str) -> tuple[list[str], str]:
        page = as_manager.get(f"{address}&key=aliases&start={start}")
        found = next(section for section in page.context["sections"] if section.key == "aliases")
        assert f"Rows {found.words}" in page.content.decode()
        assert all(section.start == 0 for section in page.context["sections"] if section.key != "aliases")
        return [row["alias"] for row in found.shown], found.words

    assert shown("0") == (["a0", "a1"], "1 to 2 of 6")
    assert shown("4") == (["a4", "a5"], "5 to 6 of 6")
    assert shown("5") == shown("4") == shown("999999999")
    for wrong in ("-1", "x", "9" * 30, "%C2%B2"):
        assert shown(wrong)[1] == "1 to 2 of 6"
    text = as_manager.get(f"{address}&key=aliases&start=2").content.decode()
    assert "key=aliases&amp;start=0" in text
    assert "key=aliases&amp;start=4" in text
    assert "as_of=2026-03-12" in text[text.index('rel="next"') :][:200]


@pytest.mark.parametrize("wrong", ["yesterday", "2026-02-30", "2999-01-01", "12", "2026-03-12T25:00", "x" * 400])
def test_a_wrong_date_is_said(as_manager, team, history, wrong):
    answer = as_manager.get("/p/churn/models/churn/", {"as_of": wrong})
    assert answer.status_code == 400
    assert "as_of" in answer.content.decode()


@pytest.mark.parametrize("given", ["2026-03-12T15:00+01:00", "2026-03-12 14:00", "2026-03-12T14:00Z"])
def test_times_with_and_without_a_zone_mean_the_same(as_manager, team, history, given):
    answer = as_manager.get("/p/churn/models/churn/", {"as_of": given})
    assert "12 March 2026 14:00 UTC" in answer.content.decode()


def test_the_evidence_is_exported_signed_and_logged(as_manager, team, history, tmp_path):
    answer = as_manager.post("/p/churn/settings/audit/production/evidence/", {"as_of": DAY, "model": "churn"})
    assert answer["Content-Disposition"] == 'attachment; filename="evidence-churn-2026-03-12.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        found = json.loads(archive.read("evidence.json"))
        rows = list(csv.DictReader(io.StringIO(archive.read("evidence.csv").decode())))
        assert {"manifest.json", "manifest.sig", "public-key.pem"} <= set(archive.namelist())
    assert [row["answering"] for row in found["production"]] == ["churn v1", "churn v2"]
    assert [(row["version"], row["decided_by"], row["verdict"]) for row in rows] == [
        ("1", "churn-manager", "approved"), ("2", "churn-manager", "approved"),
    ]  # fmt: skip
    assert [row["username"] for row in found["members"] if row["could_approve"]] == ["churn-manager", "churn-manager2"]
    assert (found["group_roles"], found["folder_roles"]) == ([], [])
    event = Event.objects.latest("seq")
    assert (event.verb, event.data["model"], event.data["rows"]) == ("evidence.exported", "churn", 2)
    path = tmp_path / "evidence.zip"
    path.write_bytes(answer.content)
    assert main(["audit", "check", str(path)]) == 0
    path.write_bytes(packs.pack({"evidence.json": b"{}"}, {"project": "churn", "rows": 2}, domain=filed.DOMAIN))
    assert main(["audit", "check", str(path)]) == 3, "a signature for something else fits no evidence"


def test_only_who_may_read_the_log_exports_evidence(client, team, history):
    assert client.login(username="churn-scientist", password=PASSWORD)
    answer = client.post("/p/churn/settings/audit/production/evidence/", {"as_of": DAY})
    assert answer.status_code == 403
    assert "Export evidence" not in client.get(f"/p/churn/models/churn/?as_of={DAY}").content.decode()
    refused = Event.objects.latest("seq")
    assert (refused.verb, refused.result, refused.actor_name) == ("access.refused", "refused", "churn-scientist")


def test_a_stranger_finds_nothing(client, team, history):
    make_user("eve")
    assert client.login(username="eve", password=PASSWORD)
    assert client.get(f"/p/churn/models/churn/?as_of={DAY}").status_code == 404


# ---------------------------------------------------------------- API


@pytest.fixture
def call(client, team):
    secret = make_token(team.people["manager"], team.project, ["read"])
    return lambda path, **query: client.get(
        f"/api/v1/projects/churn/{path}", query, headers={"Authorization": f"Bearer {secret}"}
    )


ROUTES = {
    "models/": "models", "models/churn/": "production", "models/churn/versions/": "versions",
    "models/churn/versions/1/": "production", "models/churn/aliases/": "aliases", "endpoints/": "production",
    "endpoints/churn-production/": "revisions", "environments/": "policies",
    "environments/production/policy/": "policies",
    "members/": "members", "alerts/": "alerts", "production/": "allowed_by",
}  # fmt: skip


@pytest.mark.parametrize(("path", "key"), list(ROUTES.items()))
def test_each_route_answers_as_it_was(call, team, history, path, key):
    body = call(path, as_of="2026-03-12T14:00").json()
    assert body["as_of"] == {"from": "2026-03-12T14:00:00Z", "to": "2026-03-12T14:00:00Z"}
    assert isinstance(body[key], list)
    wrong = call(path, as_of="soon")
    assert (wrong.status_code, wrong.json()["field"]) == (400, "as_of")


def test_the_route_of_the_question_needs_its_moment(call, team, history):
    assert call("production/").json()["field"] == "as_of"
    body = call("production/", as_of="2026-03-12T14:00").json()
    assert [row["answering"] for row in body["production"]] == ["churn v1"]


def test_alerts_that_were_open(call, team):
    from monitoring.models import Alert, AlertTransition
    from tests.factories.monitoring import make_rule

    rule = make_rule(team.project)
    alert = Alert.objects.create(
        project=team.project, rule=rule, fingerprint="f", title="Drift of age", state="resolved", opened_at=MARCH,
        changed_at=MARCH,
    )  # fmt: skip
    for seq, (after, moment) in enumerate([("firing", MARCH), ("resolved", MARCH + timedelta(days=1))], 1):
        AlertTransition.objects.create(alert=alert, seq=seq, at=moment, kind="state", after=after, level="critical")
    assert [row["alert"] for row in call("alerts/", as_of="2026-03-12T15:00").json()["alerts"]] == ["Drift of age"]
    assert call("alerts/", as_of="2026-03-14").json()["alerts"] == []
    assert call("alerts/", as_of="2026-03-01").json()["alerts"] == []
    assert QuerySet(Alert).count() == 1
