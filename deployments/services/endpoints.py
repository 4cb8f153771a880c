"""Move what an endpoint answers with: switch to an approved version, roll back, switch on and off."""

import hashlib
import re
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments import gates
from deployments.models import (
    Endpoint,
    EndpointInterval,
    EndpointRevision,
    Environment,
    GateOverride,
    GateResult,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    RollbackReview,
)
from deployments.proof import seal
from deployments.services import holds, registry
from mlportal.lib import names
from mlportal.lib.errors import Conflict, DomainError, Forbidden, Invalid
from monitoring.services import monitors
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

State = PromotionRequest.State
Kind = EndpointRevision.Kind
MIN_REASON = 10
MAX_PLAIN = 80
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


def name_for(model: RegisteredModel, environment: Environment) -> str:
    """Return the name of a model's endpoint in an environment: part of an address, so of plain characters only.

    A model name that is longer or holds others gets a mark, so that two such names never meet.
    """
    plain = _NOT_PLAIN.sub("-", model.name).strip("-._")[:MAX_PLAIN]
    if plain != model.name:
        mark = hashlib.sha256(model.name.encode()).hexdigest()[:6]
        plain = f"{plain}-{mark}" if plain else f"model-{mark}"
    return f"{plain}-{environment.name}"


def switch(by: Actor, *, request: PromotionRequest) -> EndpointRevision:
    """Point the endpoint at an approved version: new revision, pointer, history, monitor, one transaction.

    Raises
    ------
    Conflict
        When the request is not approved, used already, expired, stale, a gate is red or a file is damaged.
    """
    require(by, Permission.ENDPOINT_DEPLOY, request.project)
    damaged = gates.damage(request.version)
    revision = None
    with transaction.atomic():
        held = holds.lock(request)
        refused = _refusal(by, held, damaged)
        if refused is None:
            revision = _switch(by, held)
    if refused is not None or revision is None:
        raise refused or Conflict("Nothing was switched.")
    return revision


def rollback(by: Actor, *, endpoint: Endpoint, reason: str, version: ModelVersion | None = None) -> EndpointRevision:
    """Return to a version that was approved and live before, at once; a review is opened for an approver.

    Parameters
    ----------
    version
        Which one; by default the one that was live before the current one.

    Raises
    ------
    Conflict
        When there is no such version, it is live now, or it is damaged.
    """
    require(by, Permission.ENDPOINT_DEPLOY, endpoint.project)
    reason = _reason(reason)
    goal = version or previous_version(endpoint)
    damaged = gates.damage(goal) if goal else ()
    with transaction.atomic():
        holds.lock_environment(endpoint.environment)
        held = _lock(endpoint)
        approved = _approved(held, goal)
        _check_whole(approved.version, damaged)
        made = _revise(by, held, approved.version, kind=Kind.ROLLBACK, reason=reason, promotion=approved.promotion)
        RollbackReview.objects.create(revision=made)
        holds.make_stale(
            environment=held.environment, model_id=held.model_id, actor=by,
            why=f"{held.name} was rolled back to {approved.version.label} after the request.",
        )  # fmt: skip
        events.record(
            by, "endpoint.rolled_back", project=held.project, target=held,
            data={"to": approved.version.label, "revision": made.number, "reason": reason},
        )  # fmt: skip
    return made


def close_review(by: Actor, *, review: RollbackReview, comment: str) -> RollbackReview:
    """Say that a rollback was looked at, as somebody who may approve and did not roll back.

    Raises
    ------
    Forbidden
        When the same person rolled back.
    Conflict
        When it is closed already.
    """
    require(by, Permission.PROMOTION_DECIDE, review.revision.endpoint.project)
    comment = names.clean_text(comment, field="comment", limit=4000)
    with transaction.atomic():
        held = RollbackReview.objects.select_for_update(of=("self",)).select_related(
            "revision__endpoint__project", "revision__created_by", "closed_by"
        ).get(pk=review.pk)  # fmt: skip
        if held.closed_at:
            raise Conflict(f"{held.closed_by} closed this review.", code="already_closed")
        if holds.same_person(by.user, held.revision.created_by):
            raise Forbidden("You rolled back, so another person has to review it.", code="four_eyes")
        held.closed_at, held.closed_by, held.comment = timezone.now(), by.user, comment
        held.save(update_fields=["closed_at", "closed_by", "comment"])
        place = held.revision.endpoint
        events.record(
            by, "rollback.reviewed", project=place.project, target=place,
            data={"revision": held.revision.number, "comment": comment},
        )  # fmt: skip
    return held


def disable(by: Actor, *, endpoint: Endpoint, reason: str) -> Endpoint:
    """Stop answering; requests get 503 until the endpoint is enabled again.

    Raises
    ------
    Conflict
        When it is off already.
    """
    require(by, Permission.ENDPOINT_DEPLOY, endpoint.project)
    return _set_enabled(by, endpoint, enabled=False, reason=_reason(reason))


def enable(by: Actor, *, endpoint: Endpoint) -> Endpoint:
    """Answer again.

    Raises
    ------
    Conflict
        When it is on already.
    """
    require(by, Permission.ENDPOINT_DEPLOY, endpoint.project)
    return _set_enabled(by, endpoint, enabled=True, reason="")


def configure(by: Actor, *, endpoint: Endpoint, log_mode: str) -> Endpoint:
    """Choose what the prediction log keeps of the features. Open requests for the endpoint become stale.

    Raises
    ------
    Invalid
        When the mode is not known.
    """
    require(by, Permission.ENDPOINT_DEPLOY, endpoint.project)
    if log_mode not in Endpoint.LogMode.values:
        raise Invalid(
            f"log_mode must be one of {', '.join(Endpoint.LogMode.values)}.", field="log_mode",
            limit=Endpoint.LogMode.values, got=str(log_mode)[:50],
        )  # fmt: skip
    with transaction.atomic():
        holds.lock_environment(endpoint.environment)
        held = _lock(endpoint)
        if held.log_mode == log_mode:
            return held
        before, held.log_mode = held.log_mode, log_mode
        held.save(update_fields=["log_mode"])
        _overtake(by, held, f"The settings of {held.name} changed after the request.")
        events.record(
            by, "endpoint.configured", project=held.project, target=held, data={"log_mode": [before, log_mode]}
        )
    return held


def previous_version(endpoint: Endpoint) -> ModelVersion | None:
    """Return the version that was live before the current one, by approval."""
    revision = endpoint.current_revision
    if revision is None:
        return None
    earlier = revisions_by_approval(endpoint).filter(number__lt=revision.number)
    found = earlier.exclude(version=revision.version_id).order_by("-number").first()
    return found.version if found else None


def revisions_by_approval(endpoint: Endpoint) -> Any:
    """Return the revisions that an approval made: only their versions may be returned to."""
    rows = EndpointRevision.objects.filter(endpoint=endpoint, kind=Kind.PROMOTION)
    return rows.select_related("version__model__project", "promotion")


def _refusal(by: Actor, held: PromotionRequest, damaged: tuple[str, ...]) -> DomainError | None:
    if held.state != State.APPROVED:
        raise Conflict(
            f"Promotion {held.pk} is {held.get_state_display()}, not approved.", code="not_approved", got=held.state
        )
    if held.revisions.filter(kind=Kind.PROMOTION).exists():
        raise Conflict(f"Promotion {held.pk} went live already.", code="already_live")
    if held.decided_at and held.decided_at + held.policy.expiry <= timezone.now():
        holds.close(held, State.EXPIRED, actor=by, note="The approval was not used in time.")
        return holds.closed_error(held)
    if changed := seal.changed(held.snapshot, holds.current_snapshot(held)):
        words = ", ".join(holds.PART_WORDS[name] for name in changed)
        holds.close(held, State.STALE, actor=by, note=f"Changed after the request: {words}.")
        return holds.closed_error(held)
    if reason := gates.cargo(held.version):
        return Conflict(reason, code="not_servable")
    if damaged:
        registry.mark(held.version, damaged)
        events.record(by, "version.damaged", project=held.project, target=held.version, data={"damaged": list(damaged)})
        return Conflict(f"{held.version} is damaged: {damaged[0]}", code="artifact_damaged", got=list(damaged))
    return None


def _switch(by: Actor, held: PromotionRequest) -> EndpointRevision:
    _check_gates(held)
    endpoint = _endpoint(held)
    made = _revise(by, endpoint, held.version, kind=Kind.PROMOTION, reason=held.reason, promotion=held)
    holds.make_stale(
        environment=held.environment, model_id=held.version.model_id, spare=held.pk, actor=by,
        why=f"{held.version.label} went live on {endpoint.name} after the request.",
    )  # fmt: skip
    events.record(
        by, "endpoint.switched", project=held.project, target=endpoint,
        data={"to": held.version.label, "revision": made.number, "promotion": held.pk, "seal": held.seal},
    )  # fmt: skip
    return made


def _check_gates(held: PromotionRequest) -> None:
    outcomes = gates.run_all(held)
    passed_over = set(GateOverride.objects.filter(request=held).values_list("gate", flat=True))
    red = [item for item in outcomes if not item.passed and item.level == "blocking" and item.name not in passed_over]
    if red:
        words = "; ".join(f"{item.title}: {item.found}" for item in red)
        raise Conflict(f"Blocked by {words}.", code="gates_failed", got=[item.name for item in red])
    gates.store(held, outcomes, GateResult.Phase.SWITCH)


def _endpoint(held: PromotionRequest) -> Endpoint:
    name = held.endpoint_name
    try:
        with transaction.atomic():
            found, _ = Endpoint.objects.get_or_create(
                model=held.version.model,
                environment=held.environment,
                defaults={"project": held.project, "name": name, "name_key": names.key(name)},
            )
    except IntegrityError as error:
        raise Conflict(f"The endpoint name {name} is taken by another model.", code="name_taken") from error
    return _lock(found)


def _lock(endpoint: Endpoint) -> Endpoint:
    rows = Endpoint.objects.select_for_update(of=("self",)).with_live().select_related("environment__project")
    return rows.get(pk=endpoint.pk)


def _approved(held: Endpoint, goal: ModelVersion | None) -> EndpointRevision:
    if goal is None:
        raise Conflict(f"{held.name} has no earlier approved version.", code="nothing_earlier")
    if held.current_revision and held.current_revision.version_id == goal.pk:
        raise Conflict(f"{goal.label} is live on {held.name} now.", code="already_live")
    found = revisions_by_approval(held).filter(version=goal).order_by("-number").first()
    if found is None:
        raise Conflict(
            f"{goal.label} was never approved for {held.name}; ask for a promotion instead.", code="never_approved"
        )
    return found


def _check_whole(version: ModelVersion, damaged: tuple[str, ...]) -> None:
    if reason := gates.cargo(version):
        raise Conflict(reason, code="not_servable")
    if damaged:
        raise Conflict(f"{version} is damaged: {damaged[0]}", code="artifact_damaged", got=list(damaged))


def _revise(by: Actor, held: Endpoint, version: ModelVersion, **facts: Any) -> EndpointRevision:
    """Write the next revision, move the pointer and the history, bind the monitor."""
    last = held.revisions.order_by("-number").values_list("number", flat=True).first() or 0
    made = EndpointRevision.objects.create(
        endpoint=held, number=last + 1, version=version, previous=held.current_revision, created_by=by.user, **facts
    )
    held.current_revision = made
    held.save(update_fields=["current_revision"])
    _mark_interval(held)
    _bind(by, held, version)
    return made


def _mark_interval(held: Endpoint) -> None:
    now = timezone.now()
    EndpointInterval.objects.filter(endpoint=held, valid_to=None).update(valid_to=now)
    EndpointInterval.objects.create(endpoint=held, revision=held.current_revision, enabled=held.enabled, valid_from=now)


def _bind(by: Actor, held: Endpoint, version: ModelVersion) -> None:
    watcher = Actor.system(
        f"endpoint {held.name}", project=held.project, grants={Permission.MONITOR_EDIT}, on_behalf_of=by.user
    )
    importance = {
        str(row["feature"]): float(row.get("mean") or 0.0)
        for row in version.importance
        if isinstance(row, dict) and "feature" in row
    }
    dataset = version.dataset_version
    links = {
        "run": version.run_id,
        "model": held.model.name,
        "number": version.number,
        "dataset": dataset.dataset.name if dataset else None,
    }
    monitors.bind(
        watcher, project=held.project, endpoint=held.name, version=version.label,
        reference_grids=version.reference_grids, importance=importance, links=links,
    )  # fmt: skip


def _set_enabled(by: Actor, endpoint: Endpoint, *, enabled: bool, reason: str) -> Endpoint:
    word = "enabled" if enabled else "disabled"
    with transaction.atomic():
        holds.lock_environment(endpoint.environment)
        held = _lock(endpoint)
        if held.enabled == enabled:
            raise Conflict(f"{held.name} is {word} already.", code=f"already_{word}")
        held.enabled = enabled
        held.save(update_fields=["enabled"])
        _mark_interval(held)
        _overtake(by, held, f"{held.name} was {word} after the request.")
        events.record(by, f"endpoint.{word}", project=held.project, target=held, data={"reason": reason})
    return held


def _overtake(by: Actor, held: Endpoint, why: str) -> None:
    holds.make_stale(environment=held.environment, model_id=held.model_id, actor=by, why=why)


def _reason(given: str) -> str:
    text = names.clean_text(given, field="reason", limit=4000)
    if len(text) < MIN_REASON:
        raise Invalid(
            f"reason needs at least {MIN_REASON} characters; it has {len(text)}.",
            field="reason", limit=MIN_REASON, got=len(text),
        )  # fmt: skip
    return text
