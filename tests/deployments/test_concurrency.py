"""Two people at the same moment: exactly one wins, the other is told who and when (F23, F24, E7, E10)."""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from django.db import close_old_connections, connections, transaction

from deployments.models import (
    Decision,
    Endpoint,
    EndpointInterval,
    EndpointRevision,
    Evaluation,
    ModelVersion,
    PromotionRequest,
)
from deployments.proof import seal
from deployments.services import endpoints, holds, promotions
from experiments.models import Run
from mlportal.lib.errors import Conflict, DomainError
from projects.models import Event
from projects.services import verification
from tests.factories.deployments import Team, make_live, make_request, set_policy, step

ROUNDS = int(os.environ.get("RACE_ROUNDS", "15"))  # ``make faults`` runs 100
COMMENT = "Not on these numbers."
REASON = "Errors doubled today."
DECIDED = ("promotion.approval_added", "promotion.approved", "promotion.rejected", "promotion.changes_requested")
MOVED = ("endpoint.switched", "endpoint.rolled_back", "endpoint.break_glass")


def race(*acts: Callable[[], object]) -> list[object]:
    """Run the acts at once on threads of their own; an answer is what came back or the refusal."""
    barrier = threading.Barrier(len(acts))
    answers: list[object] = [None] * len(acts)

    def run(place: int, act: Callable[[], object]) -> None:
        try:
            barrier.wait()
            answers[place] = act()
        except DomainError as error:
            answers[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    close_old_connections()
    assert all(answer is not None for answer in answers)
    return answers


def losers(answers: list[object]) -> list[Conflict]:
    return [answer for answer in answers if isinstance(answer, DomainError)]


def again(request: PromotionRequest) -> PromotionRequest:
    """A request like this one for a new version of the same model: rows only, sealed over what is live now."""
    with transaction.atomic():
        run = Run.objects.get(pk=request.version.run_id)
        run.pk, run._state.adding, run.uuid = None, True, uuid4().hex
        run.save(force_insert=True)
        version = ModelVersion.objects.get(pk=request.version_id)
        version.run = run
        version.pk, version._state.adding = None, True
        version.number = ModelVersion.objects.filter(model=version.model_id).count() + 1
        version.save(force_insert=True)
        live = Endpoint.objects.filter(model=version.model_id, environment=request.environment_id).first()
        copy = PromotionRequest.objects.get(pk=request.pk)
        copy.pk, copy._state.adding, copy.version, copy.state = None, True, version, "pending"
        copy.decided_by = copy.decided_at = None
        copy.baseline_id = live.current_revision.version_id if live and live.current_revision else None
        copy.seal = copy.snapshot = ""
        copy.save(force_insert=True)
        work = Evaluation.objects.get(request=request)
        work.pk, work._state.adding, work.request = None, True, copy
        work.save(force_insert=True)
        held = holds.lock(copy)
        held.snapshot = holds.current_snapshot(held)
        held.seal = seal.compute(held.snapshot)
        held.save(update_fields=["snapshot", "seal"])
    return PromotionRequest.objects.with_subject().get(pk=held.pk)


def decide(by, request: PromotionRequest, verdict: str) -> Callable[[], object]:
    return lambda: promotions.decide(by, request=request, verdict=verdict, comment=COMMENT)


@pytest.fixture
def rounds(serial_team) -> Iterator[tuple[Team, PromotionRequest]]:
    """A team and a request to copy; after the rounds the line, the log and the chain are checked."""
    yield serial_team, make_request(serial_team)
    check_line()
    check_log()


@pytest.mark.slow
@pytest.mark.parametrize("second", ["approve", "reject"])
def test_e7_f23_of_two_deciders_exactly_one_wins_in_each_of_100_rounds(rounds, second):
    team, first = rounds
    for _turn in range(ROUNDS):
        request = again(first)
        answers = race(decide(team.manager, request, "approve"), decide(team.manager2, request, second))
        [lost] = losers(answers)
        held = PromotionRequest.objects.with_subject().get(pk=request.pk)
        assert (lost.status, lost.code) == (409, "already_decided")
        assert lost.got == {"state": held.state, "by": str(held.decided_by), "at": held.decided_at.isoformat()}
        assert Decision.objects.filter(request=request).count() == 1
        switched = EndpointRevision.objects.filter(promotion=request).count()
        assert switched == (1 if held.state == "approved" else 0)


@pytest.mark.slow
def test_e7_of_two_needed_approvals_at_once_both_count_in_each_of_100_rounds(rounds):
    team, _first = rounds
    set_policy(team, steps=[step("manager", needed=2)])
    first = make_request(team)
    for _turn in range(ROUNDS):
        request = again(first)
        assert losers(race(*(decide(by, request, "approve") for by in (team.manager, team.manager2)))) == []
        assert PromotionRequest.objects.get(pk=request.pk).state == "approved"
        assert EndpointRevision.objects.filter(promotion=request).count() == 1


@pytest.mark.slow
def test_e10_f24_of_two_versions_promoted_at_once_one_is_live_in_each_of_100_rounds(rounds):
    team, first = rounds
    for _turn in range(ROUNDS):
        one, two = again(first), again(first)
        answers = race(decide(team.manager, one, "approve"), decide(team.manager2, two, "approve"))
        [lost] = losers(answers)
        [won] = [answer for answer in answers if isinstance(answer, PromotionRequest)]
        assert (lost.status, lost.code) == (409, "request_stale")
        assert lost.got["by"] == str(won.decided_by)
        assert f"since {lost.got['at'][11:19]} UTC by what {won.decided_by} did" in lost.message
        live = Endpoint.objects.get().current_revision
        assert live is not None
        assert live.promotion_id == won.pk


@pytest.mark.slow
def test_e10_e12_f24_promotion_against_rollback_in_each_of_100_rounds(rounds):
    team, first = rounds
    make_live(team)
    make_live(team)
    for _turn in range(ROUNDS):
        endpoint = Endpoint.objects.with_live().get()
        request = again(first)
        answers = race(
            decide(team.manager, request, "approve"),
            lambda endpoint=endpoint: endpoints.rollback(team.ops, endpoint=endpoint, reason=REASON),
        )
        state = PromotionRequest.objects.get(pk=request.pk).state
        [lost] = losers(answers)
        code, by, words = {
            "approved": ("endpoint_moved", "churn-manager", "went live on churn-production at"),
            "stale": ("request_stale", "churn-ops", "churn-production was rolled back to"),
        }[state]
        assert (lost.status, lost.code, lost.got["by"]) == (409, code, by)
        assert words in lost.message


def check_line() -> None:
    """The history of each endpoint is one line: spans touch, one is open, the pointer is its revision."""
    for endpoint in Endpoint.objects.all():
        spans = list(EndpointInterval.objects.filter(endpoint=endpoint).order_by("pk"))
        assert [span.valid_to is None for span in spans] == [False] * (len(spans) - 1) + [True]
        assert all(one.valid_to == two.valid_from for one, two in itertools.pairwise(spans))
        assert spans[-1].revision_id == endpoint.current_revision_id
        numbers = list(
            EndpointRevision.objects.filter(endpoint=endpoint).order_by("number").values_list("number", flat=True)
        )
        assert numbers == list(range(1, len(numbers) + 1))


def check_log() -> None:
    """The chain verifies, and its entries are the changes one to one: decisions, ends of requests, revisions."""
    assert verification.verify().code == verification.INTACT
    said = [row.data["decision"]["id"] for row in Event.objects.filter(verb__in=DECIDED).order_by("seq")]
    assert sorted(said) == sorted(Decision.objects.values_list("pk", flat=True))
    for state in ("approved", "rejected", "stale"):
        ended = Event.objects.filter(verb=f"promotion.{state}").values_list("target_id", flat=True)
        assert sorted(ended) == sorted(PromotionRequest.objects.filter(state=state).values_list("pk", flat=True))
    moved = [(row.target_id, row.data["revision"]) for row in Event.objects.filter(verb__in=MOVED)]
    assert sorted(moved) == sorted(EndpointRevision.objects.values_list("endpoint", "number"))
