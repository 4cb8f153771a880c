"""Environments and promotion requests as things that rights are asked on, with the rules of their policies."""

from __future__ import annotations

from functools import partial

from django.utils import timezone

from deployments.models import Delegation, Environment, Policy, PromotionRequest
from deployments.proof import quorum
from deployments.services import deciders, holds
from mlportal.lib.errors import Conflict
from mlportal.lib.moments import Span
from projects.actor import Actor
from projects.models import Project, User
from projects.permissions import Permission
from projects.services.things import Thing, number

OFFERED = 50
SIGNING = (Permission.PROMOTION_SIGN, Permission.PROMOTION_DECIDE)


def environments(project: Project, name: str | None) -> list[Thing]:
    """Return the environment with a name, or all of the project."""
    rows = Environment.objects.in_project(project).order_by("position", "pk")
    rows = rows[:OFFERED] if name is None else rows.filter(name=name)
    return [
        Thing(
            f"environment:{row.name}", f"environment {row.name}", f"/p/{project.slug}/settings/policies/",
            rules=() if name is None else _rules_of(row), handed=partial(_handed, project),
        )
        for row in rows
    ]  # fmt: skip


def promotions(project: Project, name: str | None) -> list[Thing]:
    """Return the request with a number, or the open ones."""
    rows = PromotionRequest.objects.in_project(project).with_subject()
    rows = rows.pending().order_by("-pk")[:OFFERED] if name is None else rows.filter(pk=number(name))
    return [_promotion(row, project) for row in rows]


def _promotion(request: PromotionRequest, project: Project) -> Thing:
    return Thing(
        f"promotion:{request.pk}", str(request), f"/p/{project.slug}/promotions/{request.pk}/",
        check=lambda by, asked: _check(by, asked, request),
        barred=lambda person, asked: _barred(person, asked, request), rules=_words(request.policy),
        handed=partial(_handed, project),
    )  # fmt: skip


def _check(by: Actor, asked: Permission, request: PromotionRequest) -> None:
    if asked == Permission.GATE_OVERRIDE:
        deciders.check_override(by, request)
    if asked not in SIGNING:
        return
    if not request.is_pending:
        raise holds.closed_error(request)
    if request.expires_at <= timezone.now():
        raise Conflict("The time to decide on this request is over.", code="expired")
    deciders.judge(by, request)


def _barred(person: User, asked: Permission, request: PromotionRequest) -> str:
    return deciders.barred(person, request) if asked in (*SIGNING, Permission.GATE_OVERRIDE) else ""


def _handed(project: Project, asked: Permission, span: Span | None) -> list[tuple[int, str]]:
    """Say who could sign for whom by a delegation: now, or at some time of a moment that has been."""
    if asked not in SIGNING:
        return []
    rows, now = Delegation.objects.in_project(project), timezone.now()
    held = rows.standing(span.start, span.end) if span else rows.active(now)
    return [
        (row.taker_id, f"for {row.giver} by a delegation until {row.revoked_at or row.until:%Y-%m-%d %H:%M} UTC")
        for row in held.with_people().order_by("pk")
    ]


def _rules_of(place: Environment) -> tuple[str, ...]:
    policy = Policy.objects.filter(environment=place, state=Policy.State.ACTIVE).first()
    return _words(policy) if policy else ()


def _words(policy: Policy) -> tuple[str, ...]:
    steps = [
        f"{step.name}: {step.needed} with the role {deciders.role_words(step.roles)}"
        for step in quorum.read(policy.steps)
    ]
    eyes = "Four eyes: whoever asked does not decide" if policy.four_eyes else "Four eyes is off"
    trainer = ["Nor does whoever trained or registered the version"] if policy.exclude_trainer else []
    return (*steps, eyes, *(trainer if policy.four_eyes else []))
