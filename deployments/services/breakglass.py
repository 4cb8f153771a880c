"""Break-glass: ops puts a version live without an approval, and somebody else has to look at it afterwards."""

from django.db import transaction
from django.utils import timezone

from deployments import gates
from deployments.models import (
    EndpointRevision,
    Environment,
    ModelVersion,
    PromotionRequest,
    RollbackReview,
)
from deployments.proof import seal
from deployments.services import admission, cards, endpoints, holds, policies, registry, ways
from mlportal.lib import names
from mlportal.lib.errors import Conflict, Forbidden, Missing
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events, stepup

MIN_REASON = 20


def promote(by: Actor, *, version: ModelVersion, environment: Environment, reason: str) -> PromotionRequest:
    """Put a version live at once, without an approval. Its files are checked all the same; its gates are not.

    A second look is opened that only another person closes, by confirming it or by rolling back.

    Raises
    ------
    Forbidden
        When the rules of the environment do not allow it, or for a part of the portal.
    Invalid
        When the reason has fewer than 20 characters.
    Conflict
        When the version is live there, cannot be served, is damaged, or the endpoint is frozen.
    """
    require(by, Permission.ENDPOINT_DEPLOY, version.model.project)
    stepup.require_recent(by)
    reason = names.reason(reason, least=MIN_REASON)
    if environment.project_id != version.model.project_id:
        raise Missing(f"There is no environment {environment.name!r} in this project.", field="environment")
    damaged = gates.damage(version)
    with transaction.atomic():
        place = holds.lock_environment(environment)
        require(by, Permission.ENDPOINT_DEPLOY, version.model.project, fresh=True)
        made = None if damaged else _promote(by, version, place, reason)
        if damaged:
            registry.mark(version, damaged)
            events.record(
                by, "version.damaged", project=environment.project, target=version, data={"damaged": list(damaged)}
            )
    if made is None:
        raise Conflict(f"{version} is damaged: {damaged[0]}", code="artifact_damaged", got=list(damaged))
    return made


def _promote(by: Actor, version: ModelVersion, environment: Environment, reason: str) -> PromotionRequest:
    policy = policies.current(environment)
    if environment.archived_at is not None:
        ways.check(version, environment)
    if not policy.allow_break_glass or by.kind == "system" or by.user is None:
        raise Forbidden(f"The rules of {environment.name} do not allow break-glass.", code="break_glass_off")
    if unfit := gates.cargo(version):
        raise Conflict(unfit, code="not_servable", field="version")
    name = endpoints.name_for(version.model, environment)
    holds.lock_watch(environment.project, version.model_id, environment.pk, name)
    held = _approve_alone(by, version, environment, reason)
    endpoint = endpoints.endpoint_for(held)
    if endpoint.frozen_at:
        raise admission.frozen_error(endpoint)
    made = endpoints.revise(
        by, endpoint=endpoint, version=version, kind=EndpointRevision.Kind.BREAK_GLASS, reason=reason, promotion=held
    )
    RollbackReview.objects.create(revision=made)
    holds.make_stale(
        environment=environment, model_id=version.model_id, spare=held.pk, actor=by,
        why=f"{version.label} went live on {endpoint.name} by break-glass after the request.",
    )  # fmt: skip
    events.record(
        by, "endpoint.break_glass", project=held.project, target=endpoint,
        data={"to": version.label, "revision": made.number, "promotion": held.pk, "reason": reason},
    )  # fmt: skip
    return held


def _approve_alone(by: Actor, version: ModelVersion, environment: Environment, reason: str) -> PromotionRequest:
    """Write the record that stands in for an approval: who acted, why, sealed over what is known."""
    policy, now = policies.current(environment), timezone.now()
    name = endpoints.name_for(version.model, environment)
    held = PromotionRequest(
        project=environment.project, version=version, environment=environment, policy=policy, endpoint_name=name,
        state=PromotionRequest.State.APPROVED, reason=reason, requested_by=by.user, decided_by=by.user, decided_at=now,
        expires_at=now + policy.expiry, sealed_at=now, break_glass=True, single_person=True,
        closing_note="Break-glass: live without an approval.",
    )  # fmt: skip
    before = holds.endpoint_of(held)
    revision = before.current_revision if before else None
    if revision is not None and revision.version_id == version.pk:
        raise Conflict(f"{version} is live in {environment.name} already.", code="already_live")
    held.baseline = revision.version if revision else None
    held.snapshot = gates.snapshot(held, policy=policy, endpoint=before)
    held.seal = seal.compute(held.snapshot)
    held.save(force_insert=True)
    cards.keep(held)
    return held
