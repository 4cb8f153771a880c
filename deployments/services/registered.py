"""Registered models: create, describe, rename, tag and delete the lines that versions belong to."""

import posixpath
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from deployments.models import Alias, ModelVersion, RegisteredModel, RegisteredModelTag
from deployments.services import governed
from experiments.metricstore.limits import UNSTORABLE, key_fault
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events, legal_holds

MAX_NAME = 256
MAX_TEXT = 100_000
MAX_TAGS = 1000


def create(
    by: Actor, *, project: Project, name: str, description: str = "", tags: Mapping[str, str] | None = None
) -> RegisteredModel:
    """Make a model without a version.

    Raises
    ------
    Invalid
        When the name, the text or a tag breaks a rule.
    Conflict
        When the project has a model of that name.
    """
    require(by, Permission.MODEL_REGISTER, project)
    clean, text = clean_name(name), clean_wording(description, "description")
    check_tags(tags or {})
    try:
        with transaction.atomic():
            now = timezone.now()
            model = RegisteredModel.objects.create(
                project=project, name=clean, description=text, created_by=by.user, created_at=now, updated_at=now
            )
            _tag(model, tags or {})
            events.record(
                by,
                "model.created",
                project=project,
                target=model,
                data={"model": clean, "description": text[:1000], "tags": told(tags)},
            )
    except IntegrityError as error:
        raise _taken(clean) from error
    return model


def describe(by: Actor, *, model: RegisteredModel, description: str) -> RegisteredModel:
    """Change the text about a model."""
    require(by, Permission.MODEL_REGISTER, model.project)
    text = clean_wording(description, "description")
    with transaction.atomic():
        held = lock(model)
        before, held.description, held.updated_at = held.description, text, timezone.now()
        held.revision += 1
        held.save(update_fields=["description", "updated_at", "revision"])
        events.record(
            by, "model.edited", project=held.project, target=held,
            data={"changes": {"description": {"from": before[:1000], "to": text[:1000]}}},
        )  # fmt: skip
    return held


def rename(by: Actor, *, model: RegisteredModel, name: str) -> RegisteredModel:
    """Give a model another name; versions, tags and aliases follow.

    Signed records of promotions hold the name, and endpoints are named after it, so a model that has either keeps
    its name for good.

    Raises
    ------
    Forbidden
        When promotions, endpoints or automations refer to the model.
    Conflict
        When the name is taken.
    """
    require(by, Permission.MODEL_REGISTER, model.project)
    clean = clean_name(name, field="new_name")
    try:
        with transaction.atomic():
            held = lock(model)
            if reason := governed.hold_on_model(held):
                raise Forbidden(f"{held.name} keeps its name: {reason}.", code="model_in_use", field="new_name")
            before, held.name, held.updated_at = held.name, clean, timezone.now()
            held.save(update_fields=["name", "updated_at"])
            ModelVersion.objects.filter(model=held).update(updated_at=held.updated_at)
            events.record(by, "model.renamed", project=held.project, target=held, data={"from": before, "to": clean})
    except IntegrityError as error:
        raise _taken(clean) from error
    return held


def delete(by: Actor, *, model: RegisteredModel) -> None:
    """Delete a model with its versions, aliases and tags; its name is free again.

    Raises
    ------
    Forbidden
        When promotions, endpoints or automations refer to it.
    Conflict
        While a legal hold covers the project.
    """
    require(by, Permission.MODEL_REGISTER, model.project)
    with transaction.atomic():
        legal_holds.refuse(model.project, what=model.name)
        held = lock(model)
        if reason := governed.hold_on_model(held):
            raise Forbidden(f"{held.name} cannot be deleted: {reason}.", code="model_in_use")
        versions = ModelVersion.objects.filter(model=held)
        facts = {"versions": versions.count(), "manifests": list(versions.values_list("manifest_sha256", flat=True))}
        events.record(by, "model.deleted", project=held.project, target=held, data=facts)
        _erase(held)


def set_tag(by: Actor, *, model: RegisteredModel, key: str, value: str) -> None:
    """Set one tag of a model; the last value wins."""
    require(by, Permission.MODEL_REGISTER, model.project)
    check_tags({key: value})
    with transaction.atomic():
        held = lock(model)
        RegisteredModelTag.objects.update_or_create(model=held, key=key, defaults={"value": value})
        events.record(
            by, "model.tag_set", project=held.project, target=held, data={"key": key, "value": value[:1000]}
        )  # fmt: skip


def remove_tag(by: Actor, *, model: RegisteredModel, key: str) -> bool:
    """Take a tag off a model. Returns whether it was there."""
    require(by, Permission.MODEL_REGISTER, model.project)
    check_tags({key: ""})
    with transaction.atomic():
        removed, _ = RegisteredModelTag.objects.filter(model=model, key=key).delete()
        if removed:
            events.record(by, "model.tag_removed", project=model.project, target=model, data={"key": key})
    return bool(removed)


def lock(model: RegisteredModel) -> RegisteredModel:
    """Hold a model, so that one change at a time numbers, names or deletes.

    Raises
    ------
    Missing
        When it was deleted in between.
    """
    rows = RegisteredModel.objects.select_for_update(of=("self",), no_key=True).select_related("project")
    held = rows.filter(pk=model.pk).first()
    if held is None:
        raise Missing(f"Registered Model with name={model.name} not found")
    return held


def clean_name(given: object, *, field: str = "name") -> str:
    """Check the name of a model: any characters but ``/`` and ``:``, exact in case, a clean path segment.

    Raises
    ------
    Invalid
        Saying what is allowed.
    """
    name = clean_wording(given, field, limit=MAX_NAME)
    if not name.strip():
        raise Invalid(f"Missing value for required parameter '{field}'.", code="required", field=field)
    if "/" in name or ":" in name:
        raise Invalid(f"Invalid model name '{name}'. Names cannot contain '/' or ':'.", field=field, got=name)
    if name in (".", "..") or name.startswith("..") or posixpath.normpath(name) != name:
        raise Invalid(f"Invalid model name '{name}'. It must be a clean path segment.", field=field, got=name)
    return name


def clean_wording(given: object, field: str, *, limit: int = MAX_TEXT) -> str:
    """Check text that a client wrote and that is kept as it came."""
    if not isinstance(given, str):
        raise Invalid(f"{field} must be text, not {type(given).__name__}.", field=field, got=type(given).__name__)
    if len(given) > limit:
        raise Invalid(
            f"{field} has {len(given)} characters; at most {limit:,} are allowed.",
            field=field, limit=limit, got=len(given),
        )  # fmt: skip
    if UNSTORABLE.search(given):
        raise Invalid(f"{field} holds a NUL or a lone surrogate character.", code="bad_character", field=field)
    return given


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags whose key or value breaks a rule."""
    if len(tags) > MAX_TAGS:
        raise Invalid(f"{len(tags)} tags; at most {MAX_TAGS} are allowed.", field="tags", limit=MAX_TAGS, got=len(tags))
    for key, value in tags.items():
        if fault := key_fault(key):
            raise Invalid(f"Invalid value {str(key)[:260]!r} for parameter 'key' supplied: it {fault}.", field="key")
        clean_wording(value, "value")


def _tag(model: RegisteredModel, tags: Mapping[str, str]) -> None:
    RegisteredModelTag.objects.bulk_create(RegisteredModelTag(model=model, key=k, value=v) for k, v in tags.items())


def told(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Return tags as an event keeps them, which is for good: long values are cut."""
    return {key: value[:1000] for key, value in (tags or {}).items()}


def _taken(name: str) -> Conflict:
    return Conflict(f"Registered Model (name={name}) already exists.", code="name_taken", field="name", got=name)


def _erase(held: RegisteredModel) -> None:
    Alias.objects.filter(model=held).delete()
    rows: list[Any] = [ModelVersion.objects.filter(model=held), RegisteredModel.objects.filter(pk=held.pk)]
    try:
        for each in rows:
            each.delete()
    except ProtectedError as error:
        raise Forbidden(f"{held.name} cannot be deleted: something refers to it.", code="model_in_use") from error
