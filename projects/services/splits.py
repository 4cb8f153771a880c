"""Saved ways to split a version: save, read, remove. A worker cuts once; the rows stay the same for ever."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet

from mlportal.lib import names, queue
from mlportal.lib.errors import Conflict, Invalid, Missing
from mlportal.lib.lease import TERMINAL, WorkState
from projects.actor import Actor
from projects.models import DatasetVersion, SplitRecipe
from projects.permissions import Permission, require
from projects.services import events, marks
from projects.tabular.split import recipe as reading
from projects.tabular.split.recipe import Recipe

CUT_TASK = "projects.cut_split"
MOST_SPLITS = 50


def save(by: Actor, *, version: DatasetVersion, name: str, recipe: object) -> SplitRecipe:
    """Save a split of a version under a name and have it cut.

    Raises
    ------
    Invalid
        Naming the field at fault.
    Conflict
        While the version is not ready, or when the name is taken.
    """
    require(by, Permission.DATASET_CREATE, version.dataset.project)
    if by.user is None:
        raise Invalid("A split needs a person who saves it.", field="by")
    if not version.is_ready:
        raise Conflict(f"{version} cannot be split: it is {version.get_state_display()}.", code="dataset_not_ready")
    name = names.clean(name)
    wanted = reading.read(recipe, version.schema)
    if version.splits.count() >= MOST_SPLITS:
        raise Conflict(f"{version} has {MOST_SPLITS} splits, which is the limit.", code="too_many", limit=MOST_SPLITS)
    try:
        with transaction.atomic():
            made = SplitRecipe.objects.create(
                version=version, name=name, name_key=names.key(name), kind=wanted.kind, params=wanted.params(),
                seed=wanted.seed, created_by=by.user,
            )  # fmt: skip
            queue.enqueue(CUT_TASK, made.pk)
            data = {"split": name, "version": version.number, "kind": wanted.kind, "seed": wanted.seed, **made.params}
            events.record(by, "split.saved", project=version.dataset.project, target=made, data=data)
    except IntegrityError:
        raise Conflict(
            f"{version} has a split {name} already. Choose another name.", code="name_taken", field="name", got=name
        ) from None
    return made


def remove(by: Actor, *, split: SplitRecipe) -> None:
    """Remove a split that no training has used.

    Raises
    ------
    Conflict
        When a training was made with it.
    """
    require(by, Permission.DATASET_CREATE, split.version.dataset.project)
    project = split.version.dataset.project
    with transaction.atomic():
        data = {"split": split.name, "version": split.version.number}
        events.record(by, "split.removed", project=project, target=split, data=data)
        try:
            split.delete()
        except ProtectedError as error:
            count = len(error.protected_objects)
            raise Conflict(
                f"{split} was used by {count:,} training {'job' if count == 1 else 'jobs'}, whose results "
                "depend on it. It stays.",
                code="split_used",
            ) from None


def of_version(by: Actor, *, version: DatasetVersion) -> QuerySet[SplitRecipe]:
    """Splits of a version by name."""
    require(by, Permission.DATASET_VIEW, version.dataset.project)
    known = version.splits.select_related("created_by", "version__dataset__project", "carried_from__version")
    return known.defer("carried_from__version__profile", "carried_from__version__schema").order_by("name_key")


def shown_report(split: SplitRecipe, hidden: frozenset[str]) -> dict[str, Any]:
    """Report of a split without the values of the columns in ``hidden``; their shares stay."""
    report = dict(split.report)
    balance = report.get("balance")
    if balance and balance["column"] in hidden:
        report["balance"] = balance | {"values": [marks.MASK] * len(balance["values"])}
    if split.params.get("column") in hidden:
        report.pop("times", None)
    return report


def ready(by: Actor, *, version: DatasetVersion, name: str) -> SplitRecipe:
    """A split that training can use.

    Raises
    ------
    Missing
        When the version has none of that name.
    Conflict
        While it is being cut, or when it cannot be.
    """
    require(by, Permission.DATASET_VIEW, version.dataset.project)
    found = version.splits.filter(name_key=names.key(name)).select_related("version__dataset").first()
    if found is None:
        known = ", ".join(version.splits.order_by("name_key").values_list("name", flat=True)[:12])
        raise Missing(
            f"{version} has no split {name[:100]!r}. " + (f"Splits: {known}." if known else "It has none."),
            field="split",
        )
    if found.state not in TERMINAL:
        raise Conflict(f"{found} is being cut ({found.progress_percent}%). Try again when it is ready.",
                       code="split_not_ready", field="split")  # fmt: skip
    if found.state != WorkState.SUCCEEDED:
        raise Conflict(f"{found} cannot be used: {found.failure}", code="split_failed", field="split")
    return found


def recipe_of(split: SplitRecipe) -> Recipe:
    """The stored recipe as a value."""
    stored: Mapping[str, object] = split.params
    return Recipe(split.kind, seed=split.seed, **stored)  # type: ignore[arg-type]
