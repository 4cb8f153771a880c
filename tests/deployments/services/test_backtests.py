"""A back-test says what a version of the rules would have decided, and changes nothing else."""

import pytest
from django.db import DatabaseError, connection, transaction

from deployments.models import Backtest, GateResult, ModelVersion, Policy, PromotionRequest
from deployments.services import backtests, policies, promotions
from mlportal.lib import blobs, lease
from mlportal.lib.errors import Forbidden, Invalid
from projects.models import Event
from tests.factories.deployments import environment, make_live, make_request, make_team, make_version, result

pytestmark = pytest.mark.django_db
BAR = {"kind": "metric_at_least", "metric": "roc_auc", "limit": 0.9}


def drafted(team, *gates, **given):
    kept = policies.current(environment(team)).gates
    return policies.draft(team.admin, environment=environment(team), gates=[*kept, *gates], **given)


def replayed(team, policy, **given):
    asked = backtests.start(team.admin, policy=policy, **given)
    assert backtests.work(asked.pk, worker="test")
    return Backtest.objects.get(pk=asked.pk)


def test_it_replays_requests_and_what_is_live(team):
    live = make_live(team)
    good = make_request(team, found=result(auc=0.93, production=0.88))
    make_request(team, evaluated=False)
    done = replayed(team, drafted(team, BAR))
    assert (done.state, done.progress) == ("succeeded", 1.0)
    rows = {row["request"]: row for row in done.result["requests"]}
    assert [row["standing"] for row in done.result["requests"]] == ["none", "pass", "block"]
    assert [row["before"] for row in done.result["requests"]] == ["none", "pass", "pass"]
    assert (rows[good.pk]["gate"], rows[good.pk]["version"]) == ("", str(good.version))
    [now] = done.result["production"]
    assert (now["endpoint"], now["standing"], now["before"]) == (live.name, "block", "pass")
    assert (now["gate"], now["found"], now["rule"]) == ("ROC AUC bar", "0.88", "at least 0.9")
    assert [row["endpoint"] for row in done.newly_blocked] == [live.name]
    assert done.counts("requests") == {"pass": 1, "block": 1, "none": 1}


def test_it_uses_the_evaluator_of_the_decision(team):
    request = make_request(team)
    same = policies.draft(team.admin, environment=environment(team), expiry_days=3)
    [row] = replayed(team, same).result["requests"]
    stored = list(request.gate_results.values_list("name", "passed"))
    assert row["standing"] == ("pass" if all(passed for _, passed in stored) else row["standing"])
    promotions.decide(team.manager, request=request, verdict="approve")
    assert row["standing"] == "pass"


def test_it_changes_nothing_but_its_own_row(team):
    make_live(team)
    make_request(team)
    policy = drafted(team, BAR)

    def everything():
        return [
            list(model.objects.order_by("pk").values())
            for model in (PromotionRequest, GateResult, Policy, ModelVersion)
        ]

    before, events = everything(), Event.objects.count()
    replayed(team, policy)
    assert everything() == before
    assert [event.verb for event in Event.objects.order_by("seq")[events:]] == [
        "policy.backtest_asked", "policy.backtested",
    ]  # fmt: skip


def test_days_count_from_the_request_for_the_past_and_from_today_for_what_is_live(team):
    make_live(team)
    version = ModelVersion.objects.get()
    data = version.dataset_version
    type(data).objects.filter(pk=data.pk).update(created_at="2020-01-01T00:00Z")
    PromotionRequest.objects.update(sealed_at="2020-01-05T00:00Z")
    done = replayed(team, drafted(team, {"kind": "data_fresh", "limit": 10}))
    assert [row["standing"] for row in done.result["requests"]] == ["pass"]
    assert [row["standing"] for row in done.result["production"]] == ["block"]


def test_files_are_hashed_again(team):
    make_live(team)
    version = ModelVersion.objects.get()
    path = blobs.local_path(version.manifest[0]["sha256"])
    path.chmod(0o600)
    path.write_bytes(b"something else")
    done = replayed(team, policies.draft(team.admin, environment=environment(team), expiry_days=3))
    [row] = done.result["production"]
    assert (row["standing"], row["gate"]) == ("block", "Artifact verified and signed")


def test_only_the_newest_requests_of_this_environment_are_replayed(team):
    for _ in range(3):
        make_request(team)
    make_request(team, place="staging")
    make_request(make_team("other"))
    done = replayed(team, drafted(team, BAR), last=2)
    assert (len(done.result["requests"]), done.result["left_out"]) == (2, 1)


def test_one_at_a_time_and_again_after_it_ended(team):
    policy = drafted(team, BAR)
    first = backtests.start(team.admin, policy=policy)
    assert backtests.start(team.admin, policy=policy).pk == first.pk
    assert backtests.work(first.pk, worker="one")
    assert not backtests.work(first.pk, worker="two")
    assert backtests.start(team.admin, policy=policy).pk != first.pk


def test_a_lost_one_is_taken_up_again(team, settings):
    settings.MAX_ATTEMPTS = 2
    asked = backtests.start(team.admin, policy=drafted(team, BAR))
    for state in ("queued", "failed"):
        lease.claim(Backtest.objects.all(), asked.pk, worker="lost")
        Backtest.objects.update(lease_until="2020-01-01T00:00Z")
        backtests.sweep()
        assert Backtest.objects.get().state == state
    assert "stopped answering" in Backtest.objects.get().failure


def test_an_attempt_that_lost_its_lease_writes_nothing(team, monkeypatch):
    make_live(team)
    asked = backtests.start(team.admin, policy=drafted(team, BAR))
    damage = backtests.gates.damage

    def frozen(version):
        Backtest.objects.filter(pk=asked.pk).update(fence=99)
        return damage(version)

    monkeypatch.setattr(backtests.gates, "damage", frozen)
    assert not backtests.work(asked.pk, worker="slow")
    assert Backtest.objects.get().result is None


def test_an_ended_one_never_changes_not_even_by_raw_sql(team):
    done = replayed(team, drafted(team, BAR))
    with pytest.raises(DatabaseError, match="never change"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE deployments_backtest SET result = '{}' WHERE id = %s", [done.pk])


@pytest.mark.parametrize("last", [0, 501, True, "many"])
def test_bad_numbers_are_refused(team, last):
    policy = drafted(team, BAR)
    with pytest.raises(Invalid) as caught:
        backtests.start(team.admin, policy=policy, last=last)
    assert (caught.value.field, caught.value.limit) == ("last", [1, 500])


def test_only_admins_ask(team):
    policy = drafted(team, BAR)
    make_version(team)
    for role in ("viewer", "scientist", "manager", "ops"):
        with pytest.raises(Forbidden):
            backtests.start(getattr(team, role), policy=policy)
