"""More rows of every kind there is: what a list shows when it is long, without anybody naming its kind."""

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

from django.db import IntegrityError, models, transaction

from projects.models import Project
from tests.house.kinds import kinds, references

# Words that say of which kind a row is: another word is another kind, or none at all.
KINDS = {"target_type", "encoding", "delimiter", "direction", "source", "trigger", "page", "phase", "paper", "place"}


Made = dict[tuple[type[models.Model], object], object]  # which copy stands for which row


def copy_world(number: int, *, deep: bool = False, project: bool = False) -> Counter[type[models.Model]]:
    """Copy each row once: beside its original, or ``deep`` with all that hangs on it; ``project``: in one of its own.

    What must be unique gets another value; where only references must be, they point to a copy.

    Returns
    -------
    Counter
        How many rows of each kind were made.
    """
    made: Made = {}
    found: Counter[type[models.Model]] = Counter()
    for model in kinds():
        for row in list(model._default_manager.order_by("pk")):
            found[model] += _copied(row, number, made, set() if not deep else _pointed(model, project=project))
    return found


def _pointed(model: type[models.Model], *, project: bool) -> set[models.Field]:
    return {each for each in references(model) if project or each.related_model is not Project}


def _copied(row: models.Model, number: int, made: Made, pointed: set[models.Field]) -> bool:
    model, old = type(row), row.pk
    if isinstance(model._meta.pk, models.AutoField):
        row.pk = None
    for each in pointed:
        _point_on(row, each, made)
    for fields in _unique(model):
        _vary(row, fields, number)
    row._state.adding = True
    for _try in _tries(row, made):
        try:
            with transaction.atomic():
                row.save_base(raw=True, force_insert=True)
        except IntegrityError:
            continue
        made[model, old] = row.pk
        return True
    return False


def _tries(row: models.Model, made: Made) -> Iterator[None]:
    """As it is; then with one reference more that points to a copy, the nearest first."""
    yield
    for each in reversed(references(type(row))):
        if _point_on(row, each, made):
            yield


def _point_on(row: models.Model, to: models.Field, made: Made) -> bool:
    copy = made.get((to.related_model, getattr(row, to.attname)))
    if copy is not None:
        setattr(row, to.attname, copy)
    return copy is not None


def _unique(model: type[models.Model]) -> Iterator[list[models.Field]]:
    """Sets of fields that no two rows may share, as far as they are plain."""
    meta = model._meta
    if not isinstance(meta.pk, models.AutoField):
        yield list(getattr(meta.pk, "fields", [meta.pk]))
    yield from ([each] for each in meta.concrete_fields if each.unique and not each.primary_key)
    for constraint in meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            names = constraint.fields or [each.name for each in constraint.expressions if isinstance(each, models.F)]
            yield [meta.get_field(name) for name in names]


def _vary(row: models.Model, fields: list[models.Field], number: int) -> None:
    """Give one field of a set another value, the last that can have one."""
    for each in reversed(fields):
        value = getattr(row, each.attname)
        if each.is_relation or each.choices or value is None or isinstance(value, bool):
            continue
        if each.name in KINDS and isinstance(value, str):
            continue
        if (other := _other(value, number, each.max_length)) is not None:
            setattr(row, each.attname, other)
            return


def _other(value: object, number: int, longest: int | None) -> object:
    match value:
        case int():
            return value + 1000 * number
        case uuid.UUID():
            return uuid.uuid5(value, str(number))
        case date():
            return value + timedelta(minutes=number)
        case str() if len(value) in (20, 32, 40, 64) and set(value) <= set("0123456789abcdef"):
            return hashlib.sha256(f"{value}{number}".encode()).hexdigest()[: len(value)]
        case str():
            return f"{value[: longest - 2 if longest else None]}-{number}"
    return None
