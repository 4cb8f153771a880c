"""Changes that lock the same rows never end each other: one order, the audit log last (docs/explanation/locks.md)."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from deployments.models import Condition, Endpoint, PromotionRequest
from deployments.services import delegations, endpoints, promotions, rollout_clock, rollouts, suspensions
from mlportal.lib.errors import DomainError
from monitoring.models import Alert, AlertRule, Monitor, RuleEvaluation
from monitoring.services import alerts
from projects.models import ChainHead, Event
from projects.services import (
    accounts,
    entry,
    events,
    group_roles,
    groups,
    members,
    tokens,
    verification,
)
from tests.deployments.services.test_rollouts import STEPS, load
from tests.deployments.test_concurrency import again as another
from tests.factories.deployments import Team, make_live, make_request, set_policy, step
from tests.factories.monitoring import make_window, sample, watcher
from tests.factories.projects import actor, make_token, make_user

ROUNDS = int(os.environ.get("RACE_ROUNDS", "15"))
HEAD = ChainHead._meta.db_table
DRIFT = {"kind": "drift", "limit": 0.2, "column": "age", "action": "notify"}
REASON = "Errors doubled today."
Act = Callable[[], Any]


def broken_off() -> int:
    """Count the deadlocks that this database has ended; SQLite has one writer and none."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def waits() -> bool:
    """Whether a session of this database waits for another one's lock."""
    if connection.vendor != "postgresql":
        return True  # whoever comes second waits for the one writer
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
        return cursor.fetchone() is not None


@pytest.fixture(autouse=True)
def no_deadlock(transactional_db) -> Iterator[None]:
    before = broken_off()
    yield
    assert broken_off() == before
    assert verification.verify().code == verification.INTACT


class Thread(threading.Thread):
    """A thread that keeps what its act raised."""

    def __init__(self, act: Act) -> None:
        super().__init__()
        self.act, self.error = act, None
        self.start()

    def run(self) -> None:
        try:
            self.act()
        except (DatabaseError, DomainError, AssertionError) as error:
            self.error = error
        finally:
            connections.close_all()

    def end(self) -> None:
        self.join(60)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error


def meet(first: Act, second: Act) -> None:
    """Stop the first act right before it wants the audit log, until the second one waits for it or is done."""
    there, go = threading.Event(), threading.Event()

    def pause(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if HEAD in sql and not there.is_set():
            there.set()
            assert go.wait(60)
        return execute(sql, params, many, context)

    def paused() -> None:
        with connection.execute_wrapper(pause):
            first()

    one = Thread(paused)
    assert there.wait(60)
    two = Thread(second)
    while two.is_alive() and not waits():
        time.sleep(0.01)
    go.set()
    one.end()
    two.end()


@pytest.fixture
def watched(serial_team) -> tuple[Team, Condition]:
    """An endpoint that answers under a condition, which an alert rule watches."""
    make_live(serial_team, conditions=[DRIFT])
    return serial_team, Condition.objects.get()


def judge(team: Team, condition: Condition, number: int = 1, signal: str = "critical") -> Act:
    """The verdict about the next window of the live version, as monitoring settles it."""
    window = make_window(Monitor.objects.live().get(), number)
    rule = AlertRule.objects.get(pk=condition.rule_id)
    by = watcher(team.project)
    return lambda: alerts.settle(by, rule=rule, window=window, outcome="breach", samples=[sample(signal)])


def approve(team: Team, request: PromotionRequest) -> Act:
    return lambda: promotions.decide(team.manager, request=request, verdict="approve")


def test_a_switch_meets_the_verdict_about_a_window(watched):
    team, condition = watched
    request = make_request(team)
    meet(judge(team, condition), approve(team, request))
    condition.refresh_from_db()
    assert Endpoint.objects.with_live().get().current_revision.version == request.version
    assert condition.state == "ended"
    assert not Alert.objects.open().filter(rule=condition.rule_id).exists()


def test_the_verdict_about_a_window_meets_a_switch(watched):
    team, condition = watched
    request = make_request(team)
    meet(approve(team, request), judge(team, condition))
    assert Endpoint.objects.with_live().get().current_revision.version == request.version


def test_a_rollback_meets_the_verdict_about_a_window(watched):
    team, first = watched
    endpoint = make_live(team, conditions=[DRIFT])
    condition = Condition.objects.exclude(pk=first.pk).get()
    meet(judge(team, condition), lambda: endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON))
    assert Endpoint.objects.with_live().get().current_revision.version == first.request.version


def test_a_breach_meets_the_next_verdict(watched):
    team, condition = watched
    judge(team, condition)()
    alert = Alert.objects.get()
    moment = alert.opened_at
    meet(lambda: suspensions.breach(condition, now=moment, found="Alert."), judge(team, condition, 2, "clear"))
    condition.refresh_from_db()
    assert condition.state == "breached"


def test_somebody_who_acknowledges_meets_a_verdict_about_two_alerts(watched):
    team, condition = watched
    judge(team, condition)()
    alert = Alert.objects.get()
    window = make_window(Monitor.objects.live().get(), 2)
    other = sample("critical")
    other.labels["column"] = "plan"
    rule, by = AlertRule.objects.get(pk=condition.rule_id), watcher(team.project)
    both = [other, sample("clear")]
    meet(
        lambda: alerts.settle(by, rule=rule, window=window, outcome="breach", samples=both),
        lambda: alerts.acknowledge(team.ops, alert=alert),
    )
    assert RuleEvaluation.objects.count() == 2


def test_a_new_member_meets_any_other_entry_of_the_project(serial_team):
    """The reference from an entry to its project is checked at the commit, while the log is held."""
    team, guest = serial_team, make_user("guest")

    def elsewhere() -> None:
        with transaction.atomic():
            events.record(team.ops, "thing.done", project=team.project)

    meet(lambda: members.add(team.admin, project=team.project, user=guest, role="viewer"), elsewhere)
    assert list(team.project.roles_of(guest)) == ["viewer"]


def order(*verbs: str) -> list[str]:
    """The entries of these kinds, in their order."""
    return list(Event.objects.filter(verb__in=verbs).order_by("seq").values_list("verb", flat=True))


def test_who_takes_a_right_away_stands_in_the_log_behind_what_it_allowed(serial_team):
    """Each thing a right rests on, taken away while the decision waits for the log: it waits for the decision."""
    team = serial_team
    set_policy(team, steps=[step("manager", needed=2)], exclude_trainer=False)
    manager, ops = team.people["manager"], team.people["ops"]
    until = timezone.now() + timedelta(days=3)
    handed = delegations.give(
        team.manager, project=team.project, taker=ops.username, until=until, reason="On leave until Monday."
    )
    token = make_token(team.people["manager2"], team.project, ["approve"])
    row = team.project.memberships.get(user=manager)
    group = groups.create(actor(team.project.created_by), name="Signers")
    entered = groups.add(actor(team.project.created_by), group=group, user=team.people["scientist"])
    group_roles.grant(team.admin, project=team.project, group=group, role="manager")
    held = entry.of_token(token).actor
    root = actor(team.project.created_by)
    cases: list[tuple[Any, Act, str]] = [
        (team.ops, lambda: delegations.revoke(team.manager, delegation=handed), "delegation.revoked"),
        (held, lambda: tokens.revoke(team.manager2, token=held.token), "token.revoked"),
        (team.manager, lambda: members.remove(team.admin, member=row), "member.removed"),
        (team.scientist, lambda: groups.remove(root, member=entered), "group.member_removed"),
        (team.manager2, lambda: accounts.deactivate(root, user=team.people["manager2"]), "user.deactivated"),
    ]
    for by, take, verb in cases:
        request = make_request(team)
        meet(lambda by=by, request=request: promotions.decide(by, request=request, verdict="approve"), take)
        assert order("promotion.approval_added", verb)[-1] == verb


@pytest.mark.slow
def test_switches_against_verdicts_in_each_of_100_rounds(watched):
    team, condition = watched
    first = make_request(team)
    for turn in range(ROUNDS):
        request = another(first)
        settle = judge(team, condition, turn + 1, "critical" if turn % 2 else "clear")
        both = [Thread(settle), Thread(approve(team, request))]
        for thread in both:
            thread.end()
        assert Endpoint.objects.get().current_revision.promotion_id == request.pk
        if turn % 2:
            endpoints.rollback(
                team.ops, endpoint=Endpoint.objects.get(), version=condition.request.version, reason=REASON
            )


def test_the_clock_of_a_rollout_meets_a_rollback(serial_team):
    team = serial_team
    make_live(team)
    set_policy(team, switch_at_approval=False)
    request = make_request(team)
    promotions.decide(team.manager, request=request, verdict="approve")
    plan = rollouts.plan(team.ops, request=request, reason=REASON, steps=STEPS)
    rollout = rollouts.start(team.ops, rollout=plan)
    load(rollout.endpoint)
    meet(
        lambda: rollout_clock.look(rollout, now=rollout.judged_at),
        lambda: endpoints.rollback(team.ops, endpoint=rollout.endpoint, reason=REASON),
    )
    rollout.refresh_from_db()
    assert (rollout.state, Endpoint.objects.with_live().get().current_revision.routes) == ("aborted", [])
