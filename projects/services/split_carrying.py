"""Splits of a dataset go with it: each new version takes over the recipes of the version before."""

from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from mlportal.lib import names as naming
from mlportal.lib import queue
from mlportal.lib.errors import Conflict, Invalid, Missing
from mlportal.lib.lease import WorkState
from projects.actor import Actor
from projects.models import DatasetVersion, SplitRecipe
from projects.permissions import Permission, require
from projects.services import events
from projects.services.splits import CUT_TASK, MOST_SPLITS
from projects.tabular.split import recipe as reading


def left_behind(by: Actor, *, version: DatasetVersion) -> tuple[DatasetVersion | None, list[str]]:
    """The ready version before this one, and the names of its splits that this one has not."""
    require(by, Permission.DATASET_VIEW, version.dataset.project)
    before = _before(version)
    missing = _missing(before, version) if before else []
    return before, [split.name for split in missing]


def carry(
    by: Actor, *, version: DatasetVersion, source: DatasetVersion | None = None, names: Collection[str] | None = None
) -> list[SplitRecipe]:
    """Cut a version by recipes of another version of its dataset, by default of the ready one before it.

    Parameters
    ----------
    names : collection of str, optional
        Which splits; all that this version has not, when left out.

    Returns
    -------
    list of SplitRecipe
        One for each recipe: queued for its cut, or failed with the reason why it does not fit.

    Raises
    ------
    Conflict
        While the version is not ready, when nothing is left to carry over, or past 50 splits.
    Missing
        When there is no version to carry from, or it has no split of a name.
    Invalid
        For a version of another dataset.
    """
    require(by, Permission.DATASET_CREATE, version.dataset.project)
    if by.user is None:
        raise Invalid("A split needs a person who saves it.", field="by")
    if not version.is_ready:
        raise Conflict(f"{version} cannot be split: it is {version.get_state_display()}.", code="dataset_not_ready")
    source = source or _before(version)
    if source is None:
        raise Missing(f"There is no ready version before {version} to carry splits over from.", field="from")
    if source.dataset_id != version.dataset_id:
        raise Invalid(f"{source} is no version of {version.dataset.name}.", field="from", got=str(source))
    chosen = _chosen(source, version, names)
    if version.splits.count() + len(chosen) > MOST_SPLITS:
        raise Conflict(f"{version} would have more than {MOST_SPLITS} splits.", code="too_many", limit=MOST_SPLITS)
    with transaction.atomic():
        return [_copy(by, version, split, by.user.pk) for split in chosen]


def follow_profile(version: DatasetVersion) -> list[SplitRecipe]:
    """Carry over what the ready version before has; called in the transaction that ends the profiling."""
    before = _before(version)
    if before is None:
        return []
    project = version.dataset.project
    by = Actor.system("splitting", project=project, on_behalf_of=version.created_by)
    return [_copy(by, version, split, version.created_by_id) for split in _missing(before, version)]


def _before(version: DatasetVersion) -> DatasetVersion | None:
    earlier = version.dataset.versions.ready().filter(number__lt=version.number).select_related("dataset__project")
    return earlier.light().order_by("-number").first()


def _missing(source: DatasetVersion, version: DatasetVersion) -> list[SplitRecipe]:
    known = version.splits.values("name_key")
    rows = source.splits.exclude(name_key__in=known).exclude(state=WorkState.CANCELLED)
    return list(rows.select_related("version__dataset").order_by("name_key"))


def _chosen(source: DatasetVersion, version: DatasetVersion, names: Collection[str] | None) -> list[SplitRecipe]:
    missing = _missing(source, version)
    if names is None:
        if not missing:
            raise Conflict(f"{version} has every split of {source} already.", code="nothing_to_carry")
        return missing
    wanted = {naming.key(name): name for name in names}
    found = [split for split in missing if split.name_key in wanted]
    if gone := set(wanted) - {split.name_key for split in found}:
        name = wanted[min(gone)]
        raise Missing(f"{source} has no split {name[:100]!r} that {version} has not.", field="names", got=name[:100])
    return found


def _copy(by: Actor, version: DatasetVersion, split: SplitRecipe, person: int) -> SplitRecipe:
    """The recipe on this version: queued for its cut, or failed with the reason when its columns are not there."""
    facts, reason = _fitted(split, version)
    ending = {"state": WorkState.FAILED, "failure": reason, "ended_at": Now()} if reason else {}
    made = SplitRecipe.objects.create(
        version=version, name=split.name, name_key=split.name_key, kind=split.kind, seed=split.seed, params=facts,
        carried_from=split, created_by_id=person, **ending,
    )  # fmt: skip
    data = {"split": made.name, "version": version.number, "from": split.version.number, "failure": reason}
    events.record(by, "split.carried", project=version.dataset.project, target=made, data=data)
    if not reason:
        queue.enqueue(CUT_TASK, made.pk)
    return made


def _fitted(split: SplitRecipe, version: DatasetVersion) -> tuple[dict[str, Any], str]:
    """Parameters for the columns of this version, and why they do not fit; empty when they do."""
    known = {entry["name"] for entry in version.schema}
    facts = dict(split.params)
    if facts.get("balance") not in known:  # it is only reported, so the cut is the same without it
        facts["balance"] = ""
    try:
        reading.read({"kind": split.kind, "seed": split.seed, **facts}, version.schema)
    except Invalid as error:
        return facts, f"Not carried over from v{split.version.number}: {error.message}"
    return facts, ""
