"""What rollouts and trials share: locked in one order, begun by what a switch asks for, laid as revisions."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone

from deployments import gates
from deployments.models import EndpointRevision, Rollout, Trial
from deployments.services import admission, dividing, endpoints, holds
from mlportal.lib.errors import Conflict
from monitoring.services import units
from projects.actor import Actor

D = TypeVar("D", Rollout, Trial)


def hold(row: D) -> D:
    """Lock what divides an endpoint and what it moves, in the order of docs/explanation/locks.md, and read it again."""
    request = holds.lock(row.promotion)
    endpoint = endpoints.lock(row.endpoint)
    holds.lock_watch(request.project, request.version.model_id, request.environment_id, request.endpoint_name)
    held = type(row).objects.select_for_update(of=("self",), no_key=True).with_subject().get(pk=row.pk)
    held.promotion, held.endpoint = request, endpoint
    return held


def begin(row: D, lay_first: Callable[[D, EndpointRevision], None], *, actor: Actor) -> D:
    """Start a draft by all that a switch asks for; ``lay_first`` gets it, locked, and the revision that is live.

    Raises
    ------
    Conflict
        When the promotion is not approved, lapsed, stale or suspended, a gate is red, a file is damaged, the endpoint
        is frozen or divided already, or the schemas differ.
    """
    damaged = gates.damage(row.version)
    with transaction.atomic():
        request = holds.lock(row.promotion)
        holds.lock_watch(request.project, request.version.model_id, request.environment_id, request.endpoint_name)
        refused = admission.refusal(request, damaged, actor=actor)
        if refused is None:
            row = _begun(hold(row), lay_first, actor)
    if refused is not None:  # raised here, so that the request which has lapsed stays closed
        raise refused
    return row


def lay(held: D, kind: str, reason: str, routes: list[dict[str, Any]], *, actor: Actor) -> EndpointRevision:
    """Write the revision that divides the requests so, or gives them all back without routes."""
    live = held.endpoint.current_revision
    assert live is not None  # what divides starts beside what is live
    made = endpoints.revise(
        actor, endpoint=held.endpoint, version=live.version, kind=kind, reason=reason, promotion=live.promotion,
        base_id=live.put_live, routes=routes, rollout=held if isinstance(held, Rollout) else None,
        trial=held if isinstance(held, Trial) else None, salt=held.salt if routes else "",
        score_edges=dividing.score_edges(live.version) if routes else [],
    )  # fmt: skip
    if routes:
        _measure(held, made)
    return made


def _measure(held: Rollout | Trial, made: EndpointRevision) -> None:
    """Have what comes of the units of a revision counted where it comes in."""
    earlier = list(held.revisions.exclude(pk=made.pk).values_list("pk", flat=True))
    units.follow(
        project=held.endpoint.project, key=dividing.key(held), source=made.pk, earlier=earlier,
        metric=dividing.counted(held) if isinstance(held, Trial) else dividing.metric_of(held.version),
        positive=held.positive if isinstance(held, Trial) else "",
    )  # fmt: skip


def _begun(held: D, lay_first: Callable[[D, EndpointRevision], None], actor: Actor) -> D:
    if held.state != "draft":
        raise Conflict(f"{held} is {held.get_state_display()}.", code="started_already")
    admission.check_share(held.promotion, held.steps[0]["share"] if isinstance(held, Rollout) else held.share)
    admission.check_gates(held.promotion, keep=False)
    admission.check_frozen(held.endpoint, held.promotion)
    live = dividing.check_divisible(held.endpoint, held.promotion.version)
    held.started_by, held.started_at = actor.user, timezone.now()
    lay_first(held, live)
    return held
