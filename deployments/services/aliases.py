"""Names that point at versions; those of environments are moved by promotions only."""

import re

from django.db import transaction
from django.utils import timezone

from deployments.models import Alias, ModelVersion, RegisteredModel
from deployments.services import governed, registered
from mlportal.lib.errors import Invalid, Missing
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

MAX_NAME = 255
LATEST = "latest"
_NAME = re.compile(r"[\w\-]+")
_NUMBER = re.compile(r"[vV]\d+")


def point(by: Actor, *, version: ModelVersion, name: str) -> Alias:
    """Point a name at a version; the name keeps its history.

    Raises
    ------
    Invalid
        When the name breaks a rule or is reserved.
    Forbidden
        When the name is that of an environment: only a promotion moves those.
    """
    require(by, Permission.MODEL_REGISTER, version.model.project)
    clean = clean_name(name)
    with transaction.atomic():
        held = registered.lock(version.model)
        governed.refuse_alias(held, clean, version)  # under the lock: an environment may just have got this name
        if not ModelVersion.objects.filter(pk=version.pk).exists():
            raise Missing(f"Model Version (name={held.name}, version={version.number}) not found")
        Alias.objects.filter(model=held, name=clean, valid_to=None).update(valid_to=timezone.now())
        alias = Alias.objects.create(model=held, name=clean, version=version, set_by=by.user)
        events.record(
            by,
            "alias.set",
            project=held.project,
            target=version,
            data={"model": held.name, "alias": clean, "to": version.number},
        )
    return alias


def end(by: Actor, *, model: RegisteredModel, name: str) -> None:
    """End a name.

    Raises
    ------
    Forbidden
        When the name is that of an environment.
    Missing
        When the model has no such alias.
    """
    require(by, Permission.MODEL_REGISTER, model.project)
    clean = clean_name(name, reserved=True)
    governed.refuse_alias(model, clean)
    with transaction.atomic():
        rows = Alias.objects.filter(model=model, name=clean, valid_to=None)
        last = rows.select_related("version").first()
        if last is None or not rows.update(valid_to=timezone.now()):
            raise Missing(f"{model.name} has no alias {clean!r}.", code="alias_missing")
        events.record(
            by, "alias.removed", project=model.project, target=model,
            data={"model": model.name, "alias": clean, "from": last.version.number},
        )  # fmt: skip


def find(model: RegisteredModel, name: str) -> ModelVersion:
    """Return the version a name points at: the newest, what promotions put into an environment, or as it was set.

    Raises
    ------
    Invalid
        When the name points nowhere.
    """
    clean = clean_name(name, reserved=True)
    found = _newest(model) if clean.casefold() == LATEST else governed.live_version(model, clean)
    if found is None:
        row = Alias.objects.filter(model=model, name=clean, valid_to=None).select_related("version__model").first()
        found = row.version if row else None
    if found is None:
        raise Invalid(f"Registered model alias {clean} not found.", code="alias_missing", field="alias", got=clean)
    return found


def clean_name(given: object, *, reserved: bool = False) -> str:
    """Check the name of an alias; ``latest`` and ``v<number>`` mean something else and can only be read."""
    name = registered.clean_wording(given, "alias", limit=MAX_NAME)
    if not name:
        raise Invalid("Registered model alias name cannot be empty.", code="required", field="alias")
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"Invalid alias name: '{name}'. It may hold letters, digits, '_' and '-'.", field="alias", got=name
        )
    if not reserved and (name.casefold() == LATEST or _NUMBER.fullmatch(name)):
        raise Invalid(f"The alias name '{name}' is reserved.", field="alias", got=name)
    return name


def _newest(model: RegisteredModel) -> ModelVersion | None:
    return model.versions.select_related("model").order_by("-number").first()
