"""The evidence of a promotion: what a reader may see of it, and measuring again what failed."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from deployments import gates
from deployments.models import Evaluation, GateResult, ModelVersion, PromotionRequest
from deployments.proof import told, veil
from deployments.services import explanations, holds
from mlportal.lib import queue
from mlportal.lib.errors import Conflict
from mlportal.lib.lease import WorkState
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events, marks

TASK = "deployments.evaluate_request"
FAILED = (WorkState.FAILED, WorkState.CANCELLED, WorkState.TIMED_OUT)


def may_retry(request: PromotionRequest) -> bool:
    """Whether the evaluation failed and nothing was decided on it yet."""
    work = getattr(request, "evaluation", None)
    return request.is_pending and work is not None and work.state in FAILED


def hidden_from(by: Actor, *, version: ModelVersion) -> marks.Hidden:
    """Columns of the data a version was trained on whose marks hide their values from the actor."""
    source = version.dataset_version
    return marks.hidden_from(by, dataset=source.dataset) if source else marks.Hidden()


def readable(by: Actor, *, request: PromotionRequest, result: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what an evaluation found, without values of columns whose marks hide them from the actor.

    Groups of such a column are numbered: the name of a group is a value.

    The seal covers what was found, not what one reader sees of it. Whoever is told of the request may read it, also a
    token that only decides, so no other right is asked.
    """
    hidden = hidden_from(by, version=request.version)
    if result is None or not hidden:
        return result
    result, told = veil.result(result, hidden), result.get("explanations")
    if not told:
        return result
    seen = {**told, "partial_dependence": explanations.curves(told.get("partial_dependence") or [], hidden)}
    if "examples" in told:
        seen["examples"] = explanations.masked(told["examples"], hidden)
    return {**result, "explanations": seen}


def verdicts(by: Actor, *, request: PromotionRequest, rows: Sequence[GateResult]) -> list[GateResult]:
    """Return sealed verdicts as the actor may read them, to be read and not to be saved.

    Those about columns that are hidden from the actor, also ones that were marked after the sealing, are told anew
    without the names of groups. What was sealed stays.
    """
    hidden = hidden_from(by, version=request.version)
    said = gates.told(request, hidden)
    return [row.told_as(said[row.name], otherwise=told.UNTOLD) if row.name in said else row for row in rows]


def sealed_names(by: Actor, *, request: PromotionRequest) -> dict[str, str]:
    """Return the names of verdicts as they were sealed, by what the actor is told they are; only where they differ."""
    hidden = hidden_from(by, version=request.version)
    said = gates.told(request, hidden)
    return {outcome.name: name for name, outcome in said.items() if outcome.name != name}


def retry(by: Actor, *, request: PromotionRequest) -> Evaluation:
    """Queue a failed evaluation again; its gate results and its seal go, and come again with the new ones.

    Raises
    ------
    Conflict
        When the request is closed, the evaluation did not fail, or somebody has decided on it already.
    """
    require(by, Permission.PROMOTION_REQUEST, request.project)
    with transaction.atomic():
        held = holds.lock(request)
        if not held.is_pending:
            raise holds.closed_error(held)
        if held.decisions.exists():
            raise Conflict("Somebody has decided on this evaluation already.", code="decided_before")
        again = Evaluation.objects.filter(request=held, state__in=FAILED).update(
            state=WorkState.QUEUED, attempt=0, failure="", phase="", progress=0.0, ended_at=None, published_at=None
        )
        if not again:
            raise Conflict("The evaluation did not fail.", code="evaluation_not_failed", got=held.evaluation.state)
        GateResult.objects.filter(request=held, phase=GateResult.Phase.REQUEST).delete()
        PromotionRequest.objects.filter(pk=held.pk).update(seal="", snapshot="", sealed_at=None)
        events.record(by, "promotion.measured_again", project=held.project, target=held)
        queue.enqueue(TASK, held.evaluation.pk)
    return Evaluation.objects.get(request=held)
