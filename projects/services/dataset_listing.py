"""The list of a project's datasets: filtered, starred first, sorted by any column, page by page."""

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from mlportal.lib.errors import Invalid
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, Project, Star
from projects.permissions import Permission, require

PAGE_ROWS = 100
# what needs a look comes first
CHECK_RANK = {"failed": 0, "error": 1, "none": 2, "passed": 3}
SORTS = {
    "name": "name", "updated": "last update", "rows": "rows", "size": "size", "versions": "versions",
    "checks": "checks",
}  # fmt: skip


@dataclass(frozen=True)
class Page:
    """One page of datasets, each with ``latest_id``, ``version_count`` and ``starred``.

    Parameters
    ----------
    after : str
        Where the next page begins; empty on the last one.
    hidden : int
        How many a filter hides, when it leaves none.
    """

    rows: list[Dataset] = field(default_factory=list)
    after: str = ""
    hidden: int = 0


def listed(
    by: Actor, *, project: Project, query: str = "", sort: str = "name", after: str = "", limit: int = PAGE_ROWS
) -> Page:
    """One page of the list.

    Parameters
    ----------
    query : str
        See ``Dataset.objects.matching``.
    sort : str
        A key of ``SORTS``, with a leading minus for the greatest first. Starred ones come first in any order.
    after : str
        ``after`` of the page before; one whose dataset is gone by now begins anew.

    Raises
    ------
    Invalid
        For an order that there is not.
    """
    require(by, Permission.DATASET_VIEW, project)
    key, down = sort.removeprefix("-"), sort.startswith("-")
    if key not in SORTS:
        raise Invalid(f"There is no order {sort[:40]!r}. Orders: {', '.join(SORTS)}.", field="sort", limit=list(SORTS))
    known = _ranked(by, project, key)
    me = by.user.username if by.user else ""
    rows = known.matching(query, me=me) if query else known
    if last := known.filter(pk=int(after)).first() if after.isascii() and after.isdigit() and len(after) < 19 else None:
        rows = rows.filter(_past(last, down=down))
    found = list(rows.order_by("-starred", "-rank" if down else "rank", "name_key", "pk")[: limit + 1])
    hidden = known.count() if query and not found and not after else 0
    return Page(found[:limit], str(found[limit - 1].pk) if len(found) > limit else "", hidden)


def _ranked(by: Actor, project: Project, key: str) -> Any:
    """Datasets with the value that the order goes by, as ``rank``, never null."""
    rows = Dataset.objects.visible_to(by).in_project(project).with_latest().select_related("created_by", "owner")
    stars = Star.objects.filter(user=by.user, target_type="dataset", target_id=OuterRef("pk"))
    starred = Case(When(Exists(stars), then=1), default=0, output_field=IntegerField())
    return rows.annotate(starred=starred).annotate(rank=_rank(key))


def _rank(key: str) -> Any:
    newest = DatasetVersion.objects.filter(dataset=OuterRef("pk"), deleted_at=None).order_by("-number")
    if key == "name":
        return F("name_key")
    if key == "updated":
        return Coalesce(F("latest_at"), F("created_at"))
    if key == "versions":
        return F("version_count")
    if key == "checks":
        return Coalesce(_check_rank(newest), Value(CHECK_RANK["none"]))
    column = {"rows": "row_count", "size": "size_bytes"}[key]
    return Coalesce(Subquery(newest.values(column)[:1]), Value(-1))


def _check_rank(newest: QuerySet[DatasetVersion]) -> Subquery:
    places = [When(check_state=state, then=place) for state, place in CHECK_RANK.items()]
    ranked = newest.annotate(place=Case(*places, default=CHECK_RANK["none"], output_field=IntegerField()))
    return Subquery(ranked.values("place")[:1])


def _past(last: Any, *, down: bool) -> Q:
    """Rows after this one in the order."""
    further = Q(rank__lt=last.rank) if down else Q(rank__gt=last.rank)
    level = Q(rank=last.rank, name_key__gt=last.name_key) | Q(rank=last.rank, name_key=last.name_key, pk__gt=last.pk)
    return Q(starred__lt=last.starred) | Q(starred=last.starred) & (further | level)
