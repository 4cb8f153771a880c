"""Two people at the same moment: exactly one wins, the other is told who and when (F23, F24)."""

import itertools
import threading
from collections.abc import Callable

import pytest
from django.db import close_old_connections, connections, transaction

from deployments.models import Decision, Endpoint, EndpointInterval, EndpointRevision, PromotionRequest
from deployments.services import endpoints, promotions
from experiments.models import Run
from mlportal.lib.errors import Conflict, DomainError
from projects.models import Event
from tests.factories.deployments import Team, make_live, make_request, make_trained_run, make_version

ROUNDS = 100
COMMENT = "Not on these numbers."


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
    return answers


def losers(answers: list[object]) -> list[Conflict]:
    return [answer for answer in answers if isinstance(answer, DomainError)]


def ask(team: Team, model: str, run: Run) -> PromotionRequest:
    """An evaluated request for the run's model, written in one transaction to be quick."""
    with transaction.atomic():
        return make_request(team, version=make_version(team, model=model, run=run))


def decide(by, request, verdict):
    return lambda: promotions.decide(by, request=request, verdict=verdict, comment=COMMENT)


@pytest.mark.slow
@pytest.mark.parametrize("second", ["approve", "reject"])
def test_f23_of_two_deciders_exactly_one_wins_in_each_of_100_rounds(serial_team, second):
    team = serial_team
    run = make_trained_run(team)
    for turn in range(ROUNDS // 2):
        request = ask(team, f"churn-{turn}", run)
        answers = race(decide(team.manager, request, "approve"), decide(team.manager2, request, second))
        [lost] = losers(answers)
        held = PromotionRequest.objects.with_subject().get(pk=request.pk)
        assert (lost.status, lost.code) == (409, "already_decided")
        assert lost.got == {
            "state": held.state, "by": str(held.decided_by), "at": held.decided_at.isoformat(),
        }  # fmt: skip
        assert Decision.objects.filter(request=request).count() == 1
        closing = ["promotion.approved", "promotion.rejected"]
        assert Event.objects.filter(verb__in=closing, target_id=request.pk).count() == 1
        switched = EndpointRevision.objects.filter(promotion=request).count()
        assert switched == (1 if held.state == "approved" else 0)
    check_line()


@pytest.mark.slow
def test_f24_two_versions_promoted_at_once_leave_one_live(serial_team):
    team = serial_team
    runs = make_trained_run(team), make_trained_run(team)
    for turn in range(ROUNDS // 2):
        one, two = (ask(team, f"churn-{turn}", run) for run in runs)
        answers = race(decide(team.manager, one, "approve"), decide(team.manager2, two, "approve"))
        [lost] = losers(answers)
        assert (lost.status, lost.code) == (409, "request_stale")
        states = set(PromotionRequest.objects.filter(pk__in=[one.pk, two.pk]).values_list("state", flat=True))
        assert states == {"approved", "stale"}
    check_line()


@pytest.mark.slow
def test_f24_promotion_against_rollback_and_disable(serial_team):
    team = serial_team
    make_live(team)
    make_live(team)
    for _turn in range(ROUNDS // 10):
        endpoint = Endpoint.objects.with_live().get()
        request = make_request(team)
        answers = race(
            decide(team.manager, request, "approve"),
            lambda endpoint=endpoint: endpoints.rollback(team.ops, endpoint=endpoint, reason="Errors doubled today."),
        )
        state = PromotionRequest.objects.get(pk=request.pk).state
        assert state in ("approved", "stale")
        assert len(losers(answers)) == (1 if state == "stale" else 0)
    check_line()


def check_line() -> None:
    """The history of each endpoint is one line: spans touch, one is open, the pointer is its revision."""
    for endpoint in Endpoint.objects.all():
        spans = list(EndpointInterval.objects.filter(endpoint=endpoint).order_by("pk"))
        assert [span.valid_to is None for span in spans] == [False] * (len(spans) - 1) + [True]
        assert all(one.valid_to <= two.valid_from for one, two in itertools.pairwise(spans))
        assert spans[-1].revision_id == endpoint.current_revision_id
        numbers = list(
            EndpointRevision.objects.filter(endpoint=endpoint).order_by("number").values_list("number", flat=True)
        )
        assert numbers == list(range(1, len(numbers) + 1))
