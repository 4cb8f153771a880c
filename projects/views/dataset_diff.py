"""Pages that say what changed between two versions of a dataset."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from mlportal.lib import names
from mlportal.lib.errors import Conflict, Invalid
from mlportal.lib.quantities import num
from projects import charts
from projects.access import ProjectView
from projects.models import Dataset, DatasetVersion
from projects.permissions import Permission
from projects.services import dataset_diff
from projects.services.dataset_diff import Compared
from projects.tabular.diff import LARGE, NOTABLE, ColumnChange
from projects.views import dataset_context
from projects.views.datasets import OneVersion

MOST_DIGITS = 9
QUANTILES = (("least", "0"), ("5%", "0.05"), ("middle", "0.5"), ("95%", "0.95"), ("greatest", "1"))
STATUS_WORDS = {"added": "new", "removed": "gone", "retyped": "other type", "renamed": "renamed"}


@dataclass(frozen=True)
class Line:
    """One column in the table of the page."""

    change: ColumnChange
    status: str
    kinds: str
    bars: list[charts.Bar]
    outline: str
    describes: str
    numbers: list[str]
    level: str


class DatasetDiff(ProjectView):
    """Two versions that the address names: ``?a=41&b=42``."""

    reads = Dataset
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the page; without numbers, the newest version and the one before."""
        dataset = self.find(self.rows().in_project(self.project).select_related("project"), name_key=names.key(name))
        a, b = (number_of(request.GET.get(field, ""), field) for field in ("a", "b"))
        compared = dataset_diff.compare(self.actor, dataset=dataset, a=a, b=b)
        return render(request, "projects/dataset_diff.html", context_of(compared))


class DatasetVersionChanges(OneVersion):
    """One version against the one before it, as a tab of the version's page."""

    reads = DatasetVersion
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Show the tab."""
        version = self.version(name, number)
        context = dataset_context.frame(self.actor, version)
        if not version.is_ready:
            raise Conflict(f"{version} has no profile to compare: it is {version.get_state_display()}.")
        before = dataset_diff.earlier(self.actor, version=version)
        if before is not None:
            found = dataset_diff.compare(self.actor, dataset=version.dataset, a=before.number, b=number)
            context |= context_of(found)
        return render(request, "projects/dataset_changes.html", context)


def number_of(text: str, field: str) -> int | None:
    """Version number in an address; empty is none.

    Raises
    ------
    Invalid
        For anything else.
    """
    if not text:
        return None
    digits = text.removeprefix("v")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS):
        raise Invalid(f"{field} was {text[:50]!r}. It is the number of a version, such as 41.", field=field)
    return int(digits)


def context_of(compared: Compared) -> dict[str, Any]:
    """What the templates show of a comparison."""
    versions = compared.after.dataset.versions.ready().light().order_by("-number")
    return {
        "compared": compared,
        "difference": compared.difference,
        "lines": [_line(change, compared) for change in compared.difference.columns],
        "before": compared.before,
        "after": compared.after,
        "dataset": compared.after.dataset,
        "choices": list(versions[:200]),
    }


def _line(change: ColumnChange, compared: Compared) -> Line:
    then = compared.before.profile.get(change.before_name) if change.kinds[0] else None
    now = compared.after.profile.get(change.name) if change.kinds[1] else None
    drawn = now or then or {}
    is_key = "id" in change.kinds
    bars = [] if is_key else charts.column_bars(drawn)
    before, after = change.kinds
    words = dataset_context.KIND_WORDS
    size = change.distance.psi if change.distance else 0.0
    return Line(
        change=change,
        status=STATUS_WORDS.get(change.status, ""),
        kinds=words[after or before]
        if before == after or not (before and after)
        else f"{words[before]} → {words[after]}",
        bars=bars,
        outline=charts.outline(now, then) if bars and now and then and before == after else "",
        describes="key" if is_key else _describes(change),
        numbers=_numbers(then, now),
        level="bad" if size >= LARGE else "warn" if size >= NOTABLE else "",
    )


def _describes(change: ColumnChange) -> str:
    """The drawing in words: the bins that moved most."""
    if change.distance is None:
        return "no distribution to compare"
    moves = sorted(
        zip(change.distance.labels, change.distance.before, change.distance.after, strict=True),
        key=lambda part: -abs(part[2] - part[1]),
    )
    return "; ".join(f"{label}: {old:.0%} to {new:.0%}" for label, old, new in moves[:3])


def _numbers(then: dict[str, Any] | None, now: dict[str, Any] | None) -> list[str]:
    """The quantiles that moved, or how many different values there are; of a column on one side only, what it holds."""
    sides = [side for side in (then, now) if side]
    if not any(side.get("quantiles") for side in sides):
        told = [("different", [num(side["distinct"]) for side in sides])]
    else:
        told = [
            (word, [_shown((side.get("quantiles") or {}).get(share)) for side in sides]) for word, share in QUANTILES
        ]
    if len(sides) == 1:
        return [f"{word} {values[0]}" for word, values in told]
    return [f"{word} {' → '.join(values)}" for word, values in told if values[0] != values[1]]


def _shown(value: Any) -> str:
    return "–" if value is None else dataset_context.value_words(value)
