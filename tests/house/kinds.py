"""A row of every kind: what ``world`` did not build gets one of plain values that hangs on the rows that are there."""

import uuid
from collections.abc import Callable
from datetime import timedelta

from django.apps import apps
from django.db import models
from django.utils import timezone

from deployments.models import Policy
from tests.house.world import World

# What Django and the sign-in packages keep, which no list of ours shows.
FOREIGN = {"auth", "contenttypes", "sessions", "account", "socialaccount"}
PREDICTION = uuid.UUID("0199a000-0000-7000-8000-000000000000")  # the one that the addresses of the world name


def rules_of(world: World) -> Policy:
    """The rules that the addresses of the world name."""
    return Policy.objects.get(environment__project=world.project, environment__name=world.values["policies"], number=1)


# Values with a meaning, where a plain word would be none.
GIVEN: dict[str, dict[str, object]] = {
    "projects.Star": {"target_type": "run", "target_id": lambda world: int(world.values["runs"])},
    "projects.CheckResult": {"key": "age-range", "kind": "range", "severity": "warn", "outcome": "passed"},
    "experiments.JobAttempt": {"outcome": "died"},
    "experiments.RunInput": {"context": "training"},
    "monitoring.AlertTransition": {"kind": "state", "before": "pending", "after": "firing"},
    "monitoring.Prediction": {"id": PREDICTION},
    "monitoring.DriftScore": {"column": "age", "kind": "numeric", "role": "feature", "measure": "psi"},
    "monitoring.GroundTruth": {"prediction_key": PREDICTION},
    "deployments.Alias": {"name": "best"},
    "deployments.Backtest": {"policy": lambda world: rules_of(world).pk},
    "deployments.Condition": {"kind": "until", "until": timezone.now() + timedelta(days=9)},
    "deployments.RolloutCheck": {"criteria": lambda _world: []},
}
# The row that the addresses of the world name, where it is not the first.
NAMED = {
    "experiments.Run": "runs", "experiments.TrainingJob": "jobs", "monitoring.Alert": "alerts",
    "monitoring.AlertRule": "rules", "monitoring.Monitor": "monitors", "projects.Comment": "comments",
    "deployments.PromotionRequest": "promotions", "deployments.Rollout": "rollouts", "deployments.Trial": "trials",
}  # fmt: skip
PLAIN: list[tuple[type[models.Field], Callable[[], object]]] = [
    (models.DateTimeField, timezone.now), (models.UUIDField, uuid.uuid4), (models.BooleanField, bool),
    (models.IntegerField, lambda: 1), (models.FloatField, float), (models.JSONField, dict),
    (models.BinaryField, bytes), (models.Field, lambda: "a"),
]  # fmt: skip


def kinds() -> list[type[models.Model]]:
    """Our models, each after those it refers to, as far as that goes."""
    # A model of a test has no table here.
    own = [model for model in apps.get_models() if not model.__module__.startswith("tests.")]
    left = [model for model in own if model._meta.app_label not in FOREIGN]
    found: list[type[models.Model]] = []
    while left:
        ready = (
            [model for model in left if not _related(model) & set(left)]
            or [model for model in left if not _needed(model) & set(left)][:1]
            or left[:1]
        )
        found += ready
        left = [model for model in left if model not in ready]
    return found


def references(model: type[models.Model]) -> list[models.Field]:
    """Fields that point to a row."""
    return [each for each in model._meta.concrete_fields if each.is_relation]


def _related(model: type[models.Model]) -> set[type[models.Model]]:
    return {each.related_model for each in references(model)} - {model}


def _needed(model: type[models.Model]) -> set[type[models.Model]]:
    return {each.related_model for each in references(model) if not each.null} - {model}


def fill(world: World) -> None:
    """Make a row of each kind that has none."""
    for model in kinds():
        if not model._default_manager.exists():
            model(**_values(model, world)).save_base(raw=True, force_insert=True)


def _values(model: type[models.Model], world: World) -> dict[str, object]:
    given, found = GIVEN.get(model._meta.label, {}), {}
    for each in model._meta.concrete_fields:
        if each.name in given:
            value = given[each.name]
            found[each.attname] = value(world) if callable(value) else value
        elif _is_wanted(each):
            found[each.attname] = _one(each.related_model, world) if each.is_relation else _plain(each)
    return found


def _is_wanted(field: models.Field) -> bool:
    """Tell whether a row cannot be without it; who made it is shown wherever it is known."""
    if isinstance(field, models.AutoField) or field.name == "created_by":
        return field.name == "created_by"
    is_stamp = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    return is_stamp or not (field.null or field.blank or field.has_default())


def _one(model: type[models.Model], world: World) -> object:
    if model._meta.label == "projects.User":
        return world.people["everyone"].pk
    if model._meta.label in NAMED:
        return int(world.values[NAMED[model._meta.label]])
    return model._default_manager.order_by("pk").values_list("pk", flat=True)[0]


def _plain(field: models.Field) -> object:
    if field.choices:
        return field.choices[0][0]
    return next(make() for kind, make in PLAIN if isinstance(field, kind))
