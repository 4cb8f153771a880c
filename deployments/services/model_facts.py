"""What people say of a model: owner, purpose, risk class, uses it is not made for, tags; each edit is an event."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from deployments.models import RegisteredModel, RegisteredModelTag
from deployments.services import registered
from mlportal.lib import names
from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.models import Event, Project, User
from projects.permissions import Permission, require
from projects.services import events

FIELDS = ("description", "owner", "intended_purpose", "risk_class", "out_of_scope_use")
LABELS = {
    "description": "Description", "owner": "Owner", "intended_purpose": "Intended purpose", "risk_class": "Risk class",
    "out_of_scope_use": "Out-of-scope use",
}  # fmt: skip
EDITED = "model.edited"
SHOWN_EDITS = 20
Risk = RegisteredModel.Risk


def edit(
    by: Actor,
    *,
    model: RegisteredModel,
    revision: int | None = None,
    description: str | None = None,
    owner: str | None = None,
    intended_purpose: str | None = None,
    risk_class: str | None = None,
    out_of_scope_use: str | None = None,
    tags: Mapping[str, str | None] | None = None,
) -> RegisteredModel:
    """Change what is said of a model; values left out stay. Purpose and risk class are part of what is approved.

    Parameters
    ----------
    revision
        The one that the editor saw; another person's edit since then is not overwritten.
    owner
        User name of a member; empty for nobody.
    tags
        Tags to set; None takes a tag off. Tags that are not named stay.

    Raises
    ------
    Invalid
        Naming the field.
    Conflict
        When somebody else changed it meanwhile, with their name.
    """
    require(by, Permission.MODEL_REGISTER, model.project)
    given = {"description": description, "intended_purpose": intended_purpose, "out_of_scope_use": out_of_scope_use}
    wanted: dict[str, Any] = {
        key: names.clean_text(value, field=key, limit=registered.MAX_TEXT)
        for key, value in given.items()
        if value is not None
    }
    if risk_class is not None:
        wanted["risk_class"] = _risk(risk_class)
    registered.check_tags({key: value or "" for key, value in (tags or {}).items()})
    with transaction.atomic():
        held = registered.lock(model)
        if revision is not None and revision != held.revision:
            raise Conflict(_stale(held), code="stale_edit", field="revision", got=revision, limit=held.revision)
        if owner is not None:
            wanted["owner"] = _owner(held, owner)
        said = _write(held, wanted) | _write_tags(held, tags or {})
        if said:
            held.revision, held.updated_at = held.revision + 1, timezone.now()
            held.save(update_fields=[*wanted, "revision", "updated_at"])
            events.record(by, EDITED, project=held.project, target=held, data={"changes": said})
    return held


def members(by: Actor, *, project: Project) -> list[User]:
    """Who could own a model of a project."""
    require(by, Permission.MODEL_VIEW, project)
    rows = User.objects.filter(is_active=True, memberships__project=project, memberships__valid_to=None)
    return list(rows.distinct().order_by("username")[:500])


def history(by: Actor, *, model: RegisteredModel) -> list[Event]:
    """Return the newest edits of a model, from the audit log."""
    require(by, Permission.MODEL_VIEW, model.project)
    rows = Event.objects.filter(target_type="registeredmodel", target_id=model.pk, verb=EDITED)
    return list(rows.select_related("who").order_by("-seq")[:SHOWN_EDITS])


def _write(held: RegisteredModel, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Set what differs. Returns before and after by field, as the event keeps them."""
    changes = {key: value for key, value in wanted.items() if getattr(held, key) != value}
    said = {key: {"from": _said(getattr(held, key)), "to": _said(value)} for key, value in changes.items()}
    for key, value in changes.items():
        setattr(held, key, value)
    return said


def _write_tags(held: RegisteredModel, tags: Mapping[str, str | None]) -> dict[str, Any]:
    rows = RegisteredModelTag.objects.filter(model=held, key__in=tags)
    before = dict(rows.values_list("key", "value"))
    said = {}
    for key, value in tags.items():
        if before.get(key) == value:
            continue
        said[f"tag {key}"] = {"from": _said(before.get(key)), "to": _said(value)}
        if value is None:
            rows.filter(key=key).delete()
        else:
            RegisteredModelTag.objects.update_or_create(model=held, key=key, defaults={"value": value})
    return said


def _risk(given: object) -> str:
    if given not in Risk.values:
        allowed = [value for value in Risk.values if value]
        raise Invalid(
            f"risk_class is one of {', '.join(allowed)}, or empty for not stated.", field="risk_class", limit=allowed,
            got=str(given)[:50],
        )  # fmt: skip
    return str(given)


def _owner(held: RegisteredModel, username: object) -> User | None:
    if not username:
        return None
    found = User.objects.filter(username=str(username)[:150], is_active=True).first()
    if found is None or not held.project.roles_of(found):
        raise Invalid(
            f"{str(username)[:60]!r} is no member of {held.project.name}.", field="owner", got=str(username)[:60]
        )
    return found


def _said(value: Any) -> Any:
    """Return a value as an event keeps it: a person by name, texts whole, so that the past can be told."""
    return value.username if isinstance(value, User) else value


def _stale(held: RegisteredModel) -> str:
    last = Event.objects.filter(target_type="registeredmodel", target_id=held.pk, verb=EDITED).order_by("-seq")
    who = last.values_list("who__name", flat=True).first() or "Somebody"
    return f"{who} changed {held.name} since you opened it. Look at their values, then save again."
