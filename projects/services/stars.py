"""Stars: what a person wants to find again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db import transaction

from mlportal.lib.errors import Conflict, Forbidden
from projects.actor import Actor
from projects.models import Project, Star, User
from projects.permissions import Permission, allowed, require
from projects.services import events, targets
from projects.services.targets import Target

MOST = 500


def put(by: Actor, *, project: Project, target: Target, starred: bool = True) -> bool:
    """Star a thing or take the star away; asking twice changes nothing. Returns whether something changed.

    Raises
    ------
    Conflict
        If the person has 500 stars in the project.
    """
    require(by, Permission.MARK_KEEP, project)
    if by.user is None:
        raise Forbidden("Only a person keeps stars.")
    facts = {"user": by.user, "target_type": target.kind, "target_id": target.number}
    with transaction.atomic():
        if starred:
            if Star.objects.filter(user=by.user, project=project).count() >= MOST:
                raise Conflict(f"You have {MOST} stars in this project; take some away first.", limit=MOST)
            changed = Star.objects.get_or_create(**facts, defaults={"project": project})[1]
        else:
            changed = bool(Star.objects.filter(**facts).delete()[0])
        if changed:
            verb = "star.added" if starred else "star.removed"
            events.record(by, verb, project=project, target=target.row, data={"type": target.kind})
    return changed


def numbers(user: User | None, target_type: str, among: Iterable[int] | None = None) -> set[int]:
    """Numbers of the things of one type that the person has starred."""
    if user is None:
        return set()
    rows = Star.objects.filter(user=user, target_type=target_type)
    if among is not None:
        rows = rows.filter(target_id__in=list(among))
    return set(rows.values_list("target_id", flat=True))


def listed(actor: Actor, *, limit: int = 12, project: Project | None = None) -> list[Target]:
    """The newest stars of a person that they may still see; one query, and one for each type of thing."""
    rows = Star.objects.visible_to(actor).select_related("project").order_by("-pk")
    rows = rows.filter(project=project) if project else rows
    stars = list(rows[:limit])
    wanted: dict[str, list[int]] = defaultdict(list)
    for star in stars:
        wanted[star.target_type].append(star.target_id)
    found = {(type_, n): t for type_, ids in wanted.items() for n, t in targets.of(type_, ids).items()}
    pairs = [(star, found.get((star.target_type, star.target_id))) for star in stars]
    return [target for star, target in pairs if target and _shown(actor, target, star)]


def _shown(actor: Actor, target: Target, star: Star) -> bool:
    return target.is_for(actor) and allowed(actor, target.permission, star.project)
