"""Environments of a project: make, rename, order, archive, and which moves lead into them."""

import re
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from deployments.models import (
    Alias,
    Endpoint,
    Environment,
    EnvironmentMove,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
)
from deployments.services import holds, policies, ways
from mlportal.lib import names
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events, stepup

MOST, MAX_NAME = 20, 50
Origin = EnvironmentMove.Origin
# Words that mean something else where an environment is named: starts of moves, stages, and reserved aliases.
RESERVED = {*Origin.values, *(stage.casefold() for stage in ModelVersion.Stage.values), "latest"} - set(
    policies.DEFAULT_ENVIRONMENTS
)
_NUMBER = re.compile(r"v\d+", re.IGNORECASE)


def create(by: Actor, *, project: Project, name: str, start: str = "anywhere") -> Environment:
    """Add an environment behind the others, with the default rules and one move that leads to it.

    Parameters
    ----------
    start
        Where it can be reached from: ``anywhere``, ``nothing`` or the name of an environment.

    Raises
    ------
    Invalid
        When the name breaks a rule or is reserved.
    Conflict
        When the name is taken by an environment or an alias of a model, or there are 20 already.
    """
    require(by, Permission.POLICY_EDIT, project)
    stepup.require_recent(by)
    clean = _clean_name(name)
    with transaction.atomic():
        places = holds.lock_environments(project)
        _check_free(project, clean, places)
        if len(places) >= MOST:
            raise Conflict(f"A project has at most {MOST} environments.", code="too_many", limit=MOST, got=len(places))
        last = max((place.position for place in places), default=-1)
        made = policies.add_environment(project, clean, last + 1)
        origin, source = _start(places, start)
        EnvironmentMove.objects.create(
            project=project, environment_to=made, origin=origin, environment_from=source, set_by=by.user
        )
        events.record(
            by, "environment.created", project=project, target=made, data={"name": clean, "start": str(start)}
        )
    return made


def rename(by: Actor, *, environment: Environment, name: str) -> Environment:
    """Give an environment another name, as long as nothing was ever promoted to it.

    Raises
    ------
    Forbidden
        When a promotion or an endpoint refers to it: signed records hold the name.
    Conflict
        When the name is taken.
    """
    require(by, Permission.POLICY_EDIT, environment.project)
    stepup.require_recent(by)
    clean = _clean_name(name)
    with transaction.atomic():
        places = holds.lock_environments(environment.project)
        held = _held(places, environment)
        if clean == held.name:
            return held
        _check_renamed(held)
        _check_free(held.project, clean, [place for place in places if place.pk != held.pk])
        before, held.name = held.name, clean
        held.save(update_fields=["name"])
        events.record(by, "environment.renamed", project=held.project, target=held, data={"from": before, "to": clean})
    return held


def reorder(by: Actor, *, project: Project, order: Sequence[str]) -> list[Environment]:
    """Put the open environments of a project into an order; the last one is shown first, as the highest.

    Raises
    ------
    Invalid
        When the names are not exactly those of the open environments.
    """
    require(by, Permission.POLICY_EDIT, project)
    stepup.require_recent(by)
    with transaction.atomic():
        held = {place.name: place for place in holds.lock_environments(project) if place.archived_at is None}
        if sorted(order) != sorted(held):
            raise Invalid(
                f"order names each of {', '.join(held)} once.", field="order", limit=list(held), got=list(order)[:50]
            )
        before = list(held)
        if list(order) == before:
            return list(held.values())
        for position, name in enumerate(order):
            held[name].position = position
        Environment.objects.bulk_update(held.values(), ["position"])
        events.record(
            by, "environment.reordered", project=project, target=held[order[-1]],
            data={"from": before, "to": list(order)},
        )  # fmt: skip
    return [held[name] for name in order]


def archive(by: Actor, *, environment: Environment) -> Environment:
    """Take an environment out of use: it takes no promotion, and its open requests become stale. It keeps its name.

    Raises
    ------
    Conflict
        When it is archived, an endpoint answers there, or it is the last one.
    """
    require(by, Permission.POLICY_EDIT, environment.project)
    stepup.require_recent(by)
    with transaction.atomic():
        places = holds.lock_environments(environment.project)
        held = _held(places, environment)
        _check_unused(held, places)
        requests = _open_requests(places)
        held.archived_at = timezone.now()
        held.save(update_fields=["archived_at"])
        _overtake(by, held.project, requests)
        events.record(by, "environment.archived", project=held.project, target=held, data={"name": held.name})
    return held


def restore(by: Actor, *, environment: Environment) -> Environment:
    """Take an archived environment into use again, with the rules and moves it had.

    Raises
    ------
    Conflict
        When it is not archived.
    """
    require(by, Permission.POLICY_EDIT, environment.project)
    stepup.require_recent(by)
    with transaction.atomic():
        held = _held(holds.lock_environments(environment.project), environment)
        if held.archived_at is None:
            raise Conflict(f"{held.name} is in use.", code="not_archived")
        held.archived_at = None
        held.save(update_fields=["archived_at"])
        events.record(by, "environment.restored", project=held.project, target=held, data={"name": held.name})
    return held


def set_moves(by: Actor, *, project: Project, moves: Sequence[tuple[str, str]], seen: str = "") -> ways.Ways:
    """Say which moves lead from where to where; requests that no move leads to any more become stale.

    Parameters
    ----------
    moves
        Pairs of words: where from (``anywhere``, ``nothing`` or an environment) and the environment it leads to.
    seen
        :attr:`ways.Ways.mark` of the moves the editor saw; when given, moves that somebody else set are kept.

    Raises
    ------
    Invalid
        When a word is no open environment, or a move leads from an environment to itself.
    Conflict
        When somebody else changed the moves meanwhile.
    """
    require(by, Permission.POLICY_EDIT, project)
    stepup.require_recent(by)
    with transaction.atomic():
        places = [place for place in holds.lock_environments(project) if place.archived_at is None]
        before = ways.of(project)
        if seen and seen != before.mark:
            raise Conflict(
                "Somebody else changed the moves after you opened the page. Look at them again.", code="stale_edit",
                field="seen", got=seen, limit=before.mark,
            )  # fmt: skip
        wanted = {_move(places, start, goal) for start, goal in moves}
        known = {
            (row.origin, row.environment_from_id, row.environment_to_id): row
            for row in EnvironmentMove.objects.filter(project=project, valid_to=None)
            if row.environment_to_id in before.into
        }
        if wanted == set(known):
            return before
        requests = _open_requests(places)
        _write_moves(by, project, wanted, known)
        after = ways.of(project)
        _overtake(by, project, requests)
        events.record(by, "environment.moves_set", project=project, data=_difference(before, after))
    return after


def _write_moves(by: Actor, project: Project, wanted: set[Any], known: dict[Any, EnvironmentMove]) -> None:
    now = timezone.now()
    ended = [row.pk for key, row in known.items() if key not in wanted]
    EnvironmentMove.objects.filter(pk__in=ended).update(valid_to=now)
    EnvironmentMove.objects.bulk_create(
        EnvironmentMove(
            project=project, origin=origin, environment_from_id=start, environment_to_id=goal, set_by=by.user,
            valid_from=now,
        )
        for origin, start, goal in sorted(wanted - set(known), key=str)
    )  # fmt: skip


def _difference(before: ways.Ways, after: ways.Ways) -> dict[str, Any]:
    old, new = set(before.pairs()), set(after.pairs())
    return {
        "moves": [f"{start} > {goal}" for start, goal in after.pairs()],
        "added": sorted(f"{start} > {goal}" for start, goal in new - old),
        "removed": sorted(f"{start} > {goal}" for start, goal in old - new),
    }


def _open_requests(places: Sequence[Environment]) -> list[PromotionRequest]:
    """Hold the requests of environments that are open or approved but unused, before the first event."""
    return [
        request
        for place in sorted(places, key=lambda each: each.pk)
        for request in holds.overtaken(place, model_id=None, spare=None)
        if not request.break_glass
    ]


def _overtake(by: Actor, project: Project, requests: Sequence[PromotionRequest]) -> None:
    """Close the requests that no allowed move leads to any more."""
    known = ways.of(project)
    for request in requests:
        stands, place = ways.standing(request.version), request.environment
        if place.pk not in known.places:
            why = f"{place.name} was archived after the request."
        elif known.leads(stands, place.pk):
            continue
        else:
            why = f"The moves changed. {ways.refusal(known, request.version, stands, place)}"
        holds.close(request, PromotionRequest.State.STALE, actor=by, note=why, cause=by.user)


def _held(places: Sequence[Environment], environment: Environment) -> Environment:
    return next(place for place in places if place.pk == environment.pk)


def _move(places: Sequence[Environment], start: str, goal: str) -> tuple[str, int | None, int]:
    found = next((place for place in places if place.name == goal), None)
    if found is None:
        raise _unknown(places, goal)
    origin, source = _start(places, start)
    if source is not None and source.pk == found.pk:
        raise Invalid(f"A move leads from {goal} to {goal} itself.", field="moves", got=[start, goal])
    return origin, source.pk if source else None, found.pk


def _start(places: Sequence[Environment], start: str) -> tuple[str, Environment | None]:
    if start in (Origin.ANYWHERE, Origin.NOTHING):
        return start, None
    found = next((place for place in places if place.name == start and place.archived_at is None), None)
    if found is None:
        raise _unknown(places, start)
    return Origin.ENVIRONMENT, found


def _unknown(places: Sequence[Environment], word: object) -> Invalid:
    allowed = [place.name for place in places if place.archived_at is None]
    return Invalid(
        f"There is no environment {str(word)[:60]!r}. Known: {', '.join(allowed)}; a move may also start from "
        "'anywhere' or 'nothing'.", field="moves", got=str(word)[:60], limit=allowed,
    )  # fmt: skip


def _clean_name(given: object) -> str:
    name = names.clean(given, field="name")
    if len(name) > MAX_NAME:
        raise Invalid(
            f"name has {len(name)} characters; at most {MAX_NAME} are allowed.", field="name", limit=MAX_NAME,
            got=len(name),
        )  # fmt: skip
    if name.casefold() in RESERVED or _NUMBER.fullmatch(name):
        raise Invalid(f"{name!r} is reserved: it means something else where models are named.", field="name", got=name)
    return name


def _check_free(project: Project, name: str, others: Sequence[Environment]) -> None:
    """Refuse a name that an environment has, or that people move by hand as an alias of a model."""
    known = next((place for place in others if place.name.casefold() == name.casefold()), None)
    if known is not None:
        word = "an archived environment" if known.archived_at else "an environment"
        raise Conflict(f"{known.name} is the name of {word}.", code="name_taken", field="name", got=name)
    # An alias is set under the lock of its model, so none of that name can come in between.
    models = RegisteredModel.objects.in_project(project).select_for_update(of=("self",), no_key=True)
    list(models.order_by("pk").values_list("pk"))
    rows = Alias.objects.filter(model__project=project, name__iexact=name, valid_to=None)
    bearers = list(rows.order_by("model__name").values_list("model__name", flat=True)[:5])
    if bearers:
        raise Conflict(
            f"{name} is an alias of {', '.join(bearers)}. Remove the alias first: only promotions move what bears the "
            "name of an environment.", code="alias_in_use", field="name", got=name, limit=bearers,
        )  # fmt: skip


def _check_renamed(held: Environment) -> None:
    asked = PromotionRequest.objects.filter(environment=held).exists()
    if asked or Endpoint.objects.filter(environment=held).exists():
        raise Forbidden(
            f"{held.name} keeps its name: promotions to it are signed with it.", code="environment_in_use",
            field="name", got=held.name,
        )  # fmt: skip


def _check_unused(held: Environment, places: Sequence[Environment]) -> None:
    if held.archived_at is not None:
        raise Conflict(f"{held.name} is archived already.", code="already_archived")
    live = Endpoint.objects.filter(environment=held, enabled=True, current_revision__isnull=False)
    answering = list(live.order_by("name").values_list("name", flat=True)[:5])
    if answering:
        raise Conflict(
            f"{', '.join(answering)} answers in {held.name}. Switch it off first.", code="environment_in_use",
            got=answering,
        )  # fmt: skip
    if not any(place.archived_at is None and place.pk != held.pk for place in places):
        raise Conflict(f"{held.name} is the only environment; a project keeps one.", code="last_environment")
