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
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    RollbackReview,
)
from deployments.services import admission, conditions, dividing, endpoint_settings, holds, watching
from mlportal.lib import again, names
from mlportal.lib.errors import Conflict, Invalid
from monitoring.models import Alert
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events

State = PromotionRequest.State
Kind = EndpointRevision.Kind
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


@again.after_deadlock
def switch(by: Actor, *, request: PromotionRequest) -> EndpointRevision:
    """Point the endpoint at an approved version: new revision, pointer, history, monitor, one transaction.

    Raises
    ------
    Conflict
        When the request is not approved, used already, lapsed, stale or suspended, its decisions do not fit the audit
        log, the endpoint is frozen, a gate is red or a file is damaged.
    """
    require(by, Permission.ENDPOINT_DEPLOY, request.project)
    damaged = gates.damage(request.version)
    revision = None
    with transaction.atomic():
        held = holds.lock(request)
        holds.lock_watch(held.project, held.version.model_id, held.environment_id, held.endpoint_name)
        refused = admission.refusal(held, damaged, actor=by)
        if refused is None:
            revision = _switch(by, held)
    if refused is not None or revision is None:
        raise refused or Conflict("Nothing was switched.")
    return revision


@again.after_deadlock
def rollback(
    by: Actor, *, endpoint: Endpoint, reason: str, version: ModelVersion | None = None, alert: int | None = None
) -> EndpointRevision:
    """Return to a version that was approved and live before, at once; a review is opened for an approver.

    Parameters
    ----------
    version
        Which one; by default the one that was live before the current one, or of a divided endpoint the one that
        was live before it was divided.
    alert
        Number of the alert that it answers, for the record.

    Raises
    ------
    Conflict
        When there is no such version, it is live now, or it is damaged; or when another version went live since the
        caller read the endpoint.
    Invalid
        When the alert is not one of this endpoint.
    """
    require(by, Permission.ENDPOINT_DEPLOY, endpoint.project)
    reason = names.reason(reason)
    about = _about(endpoint, alert)
    goal = version or goal_of(endpoint)
    damaged = gates.damage(goal) if goal else ()
    with transaction.atomic():
        holds.lock_environment(endpoint.environment)
        held = lock(endpoint)
        _check_unmoved(held, endpoint.current_revision)
        holds.lock_watch(held.project, held.model_id, held.environment_id, held.name)
        approved = _approved(held, goal)
        admission.check_whole(approved.version, damaged)
        made = revise(
            by, endpoint=held, version=approved.version, kind=Kind.ROLLBACK, reason=reason, promotion=approved.promotion
        )
        RollbackReview.objects.create(revision=made)
        holds.make_stale(
            environment=held.environment, model_id=held.model_id, actor=by,
            why=f"{held.name} was rolled back to {approved.version.label} after the request.",
        )  # fmt: skip
        events.record(
            by, "endpoint.rolled_back", project=held.project, target=held,
            data={"to": approved.version.label, "revision": made.number, "reason": reason, **about},
        )  # fmt: skip
    return made


def disable(by: Actor, *, endpoint: Endpoint, reason: str) -> Endpoint:
    """Stop answering; requests get 503 until the endpoint is enabled again.

    Raises
    ------
    Conflict
        When it is off already.
    """
    require(by, Permission.ENDPOINT_DEPLOY, endpoint.project)
    return _set_enabled(by, endpoint, enabled=False, reason=names.reason(reason))


def enable(by: Actor, *, endpoint: Endpoint) -> Endpoint:
    """Answer again.

    Raises
    ------
    Conflict
        When it is on already.
    """
    require(by, Permission.ENDPOINT_DEPLOY, endpoint.project)
    return _set_enabled(by, endpoint, enabled=True, reason="")


def configure(by: Actor, *, endpoint: Endpoint, **wanted: Any) -> Endpoint:
    """Choose what the prediction log keeps and how many requests are taken; what is not named stays.

    Open requests for the endpoint become stale, except by limits of requests.

    Raises
    ------
    Invalid
        When a value is not one of its field's.
    """
    require(by, Permission.ENDPOINT_DEPLOY, endpoint.project)
    values = endpoint_settings.checked(wanted)
    with transaction.atomic():
        holds.lock_environment(endpoint.environment)
        held = lock(endpoint)
        changed = endpoint_settings.changed(held, values)
        if not changed:
            return held
        if held.frozen_at:
            raise admission.frozen_error(held)
        for name, (_, after) in changed.items():
            setattr(held, name, after)
        held.save(update_fields=list(changed))
        if not changed.keys() <= endpoint_settings.LIMITS.keys():
            _overtake(by, held, f"The settings of {held.name} changed after the request.")
        events.record(by, "endpoint.configured", project=held.project, target=held, data=changed)
    return held


def previous_version(endpoint: Endpoint) -> ModelVersion | None:
    """Return the version that was live before the current one, by an approval that still holds."""
    revision = endpoint.current_revision
    if revision is None:
        return None
    earlier = admission.revisions_by_approval(endpoint).filter(number__lt=revision.number)
    found = earlier.exclude(version=revision.version_id).order_by("-number").first()
    return found.version if found else None


def goal_of(endpoint: Endpoint) -> ModelVersion | None:
    """Return what a rollback leads to: out of a rollout to what was live all the time, which loads nothing."""
    live = endpoint.current_revision
    return live.version if live and live.routes else previous_version(endpoint)


def way_back(project: Project, endpoint: str, version: str) -> str | None:
    """Name the version that an endpoint would be rolled back to, if this one answers there now and then no more."""
    found = Endpoint.objects.with_live().in_project(project).filter(name=endpoint).first()
    live = found.current_revision if found else None
    if found is None or live is None or version not in answering(live):
        return None
    goal = goal_of(found)
    return goal.label if goal and goal.label != version else None


def answering(live: EndpointRevision) -> set[str]:
    """Labels of the versions of a revision: its own, and those it is divided between."""
    return {live.version.label, *(f"v{route['version']}" for route in live.routes)}


def lock(endpoint: Endpoint) -> Endpoint:
    """Hold an endpoint and read it again."""
    rows = (
        Endpoint.objects.select_for_update(of=("self",), no_key=True).with_live().select_related("environment__project")
    )
    return rows.get(pk=endpoint.pk)


def _switch(by: Actor, held: PromotionRequest) -> EndpointRevision:
    admission.check_share(held, 1.0)
    admission.check_gates(held)
    endpoint = endpoint_for(held)
    admission.check_frozen(endpoint, held)
    made = revise(by, endpoint=endpoint, version=held.version, kind=Kind.PROMOTION, reason=held.reason, promotion=held)
    holds.make_stale(
        environment=held.environment, model_id=held.version.model_id, spare=held.pk, actor=by,
        why=f"{held.version.label} went live on {endpoint.name} after the request.",
    )  # fmt: skip
    lifted = admission.lift(endpoint, held)
    events.record(
        by, "endpoint.switched", project=held.project, target=endpoint,
        data={"to": held.version.label, "revision": made.number, "promotion": held.pk, "seal": held.seal, **lifted},
    )  # fmt: skip
    return made


def endpoint_for(held: PromotionRequest) -> Endpoint:
    """Return the endpoint of a request, locked; the first promotion makes it."""
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
    return lock(found)


def _check_unmoved(held: Endpoint, seen: EndpointRevision | None) -> None:
    """Refuse when another version went live meanwhile: nobody saw it yet, and "the version before" is another one."""
    live = held.current_revision
    if live is None or (seen is not None and seen.put_live == live.put_live):
        return
    who, at = str(live.created_by), live.created_at
    raise Conflict(
        f"{live.version.label} went live on {held.name} at {at:%H:%M:%S} UTC by {who}. Look again before rolling back.",
        code="endpoint_moved", got={"by": who, "at": at.isoformat(), "version": live.version.label},
    )  # fmt: skip


def _about(endpoint: Endpoint, alert: int | None) -> dict[str, int]:
    if alert is None:
        return {}
    if not Alert.objects.in_project(endpoint.project).filter(pk=alert, endpoint=endpoint.name).exists():
        raise Invalid(f"There is no alert {alert} of {endpoint.name}.", field="alert", got=alert)
    return {"alert": alert}


def _approved(held: Endpoint, goal: ModelVersion | None) -> EndpointRevision:
    if goal is None:
        raise Conflict(f"{held.name} has no earlier approved version.", code="nothing_earlier")
    live = held.current_revision
    if live and live.version_id == goal.pk and not live.routes:
        raise Conflict(f"{goal.label} is live on {held.name} now.", code="already_live")
    return admission.returnable(held, goal)


def revise(by: Actor, *, endpoint: Endpoint, version: ModelVersion, **facts: Any) -> EndpointRevision:
    """Write the next revision, move the pointer and the history, bind the monitor and the conditions.

    The caller holds the environment and the endpoint, and has checked that the version may answer.
    """
    require(by, Permission.ENDPOINT_DEPLOY, endpoint.project)
    last = endpoint.revisions.order_by("-number").values_list("number", flat=True).first() or 0
    made = EndpointRevision.objects.create(
        endpoint=endpoint,
        number=last + 1,
        version=version,
        previous=endpoint.current_revision,
        created_by=by.user,
        **facts,
    )
    endpoint.current_revision = made
    endpoint.save(update_fields=["current_revision"])
    _mark_interval(endpoint)
    dividing.overtake(endpoint, made, actor=by)
    watching.follow(by, endpoint=endpoint, made=made)
    conditions.follow(endpoint, made, on_behalf_of=by.user)
    return made


def _mark_interval(held: Endpoint) -> None:
    now = timezone.now()
    EndpointInterval.objects.filter(endpoint=held, valid_to=None).update(valid_to=now)
    EndpointInterval.objects.create(endpoint=held, revision=held.current_revision, enabled=held.enabled, valid_from=now)


def _set_enabled(by: Actor, endpoint: Endpoint, *, enabled: bool, reason: str) -> Endpoint:
    word = "enabled" if enabled else "disabled"
    with transaction.atomic():
        holds.lock_environment(endpoint.environment)
        held = lock(endpoint)
        if held.enabled == enabled:
            raise Conflict(f"{held.name} is {word} already.", code=f"already_{word}")
        if enabled and held.frozen_at:
            raise admission.frozen_error(held)
        if enabled and held.environment.archived_at:
            raise Conflict(f"{held.environment.name} is archived. Restore it first.", code="environment_archived")
        held.enabled = enabled
        held.save(update_fields=["enabled"])
        _mark_interval(held)
        _overtake(by, held, f"{held.name} was {word} after the request.")
        events.record(by, f"endpoint.{word}", project=held.project, target=held, data={"reason": reason})
    return held


def _overtake(by: Actor, held: Endpoint, why: str) -> None:
    holds.make_stale(environment=held.environment, model_id=held.model_id, actor=by, why=why)
