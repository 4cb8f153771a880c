"""The rows of a dataset version as a grid: sorted, filtered, chosen columns; and as a file."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from mlportal.lib import addresses
from mlportal.lib.errors import DomainError
from projects.models import DatasetVersion
from projects.permissions import Permission
from projects.services import grid, marks
from projects.tabular.rowfilter import Condition, quoted
from projects.views import dataset_context
from projects.views.datasets import OneVersion

PAGE_SIZES = (50, 100, 200)
USUAL_SIZE = 100
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
_NUMBERS = ("numeric", "integer")


def asked_of(given: QueryDict) -> grid.Asked:
    """Which rows the address asks for; a number that is none counts as not given."""
    size = _number(given.get("rows")) or 0
    sort, q = given.get("sort", ""), given.get("q", "").strip()
    plain = not sort and not q
    return grid.Asked(
        q=q,
        sort=sort,
        columns=tuple(given.getlist("col")),
        limit=size if size in PAGE_SIZES else USUAL_SIZE,
        start=max(0, (_number(given.get("from")) or 1) - 1) if plain else 0,
        after=None if plain else _number(given.get("after")),
        before=None if plain else _number(given.get("before")),
    )


def _faults(given: QueryDict) -> list[str]:
    """What the address asks for and cannot have; the filter, the order and columns are refused by the grid."""
    found = [f"{name}: {given[name][:40]!r} is no number of a row." for name in ("from", "after", "before")
             if given.get(name) and _number(given[name]) is None]  # fmt: skip
    return found + addresses.size_fault("rows", given.get("rows", ""), PAGE_SIZES, usual=USUAL_SIZE)


def _number(text: str | None) -> int | None:
    return int(text[:15]) if text and text.isascii() and text.isdigit() else None


class DatasetVersionRows(OneVersion):
    """Rows of a version, page by page."""

    reads = DatasetVersion
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """One page of the grid; what is wrong with the filter or a column is said above an empty one."""
        version = self.ready(name, number)
        asked = asked_of(request.GET)
        context = dataset_context.frame(self.actor, version) | _frame(request.GET, version, asked)
        hidden = marks.hidden(self.actor, dataset=version.dataset)
        context["choices"] = [_choice(each, context["shown"], version, hidden) for each in version.schema]
        try:
            page = grid.rows(self.actor, version=version, asked=asked)
        except DomainError as error:
            if error.status not in (400, 403, 503):
                raise
            context |= {"problem": error, "waits": error.status == 503}
            return render(request, "projects/dataset_rows.html", context, status=422 if error.status < 500 else 503)
        context |= _table(version, page, asked)
        context |= _pager(request.GET, page, asked) | {"address_faults": _faults(request.GET)}
        return render(request, "projects/dataset_rows.html", context)


class DatasetVersionRowsExport(OneVersion):
    """All rows that pass the filter, as an attachment."""

    reads = DatasetVersion
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponseBase:
        """Send them while they are read."""
        version = self.ready(name, number)
        form = request.GET.get("format", "csv")
        return attachment(
            version, grid.export(self.actor, version=version, asked=asked_of(request.GET), form=form), form
        )


def attachment(version: DatasetVersion, parts: Any, form: str) -> StreamingHttpResponse:
    """An answer that streams a file of rows."""
    response = StreamingHttpResponse(parts, content_type=CONTENT_TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="{version.dataset.name}-v{version.number}-rows.{form}"'
    return response


def _frame(given: QueryDict, version: DatasetVersion, asked: grid.Asked) -> dict[str, Any]:
    every = [each["name"] for each in version.schema]
    shown = [name for name in asked.columns if name in every] or every[: grid.SHOWN_COLUMNS]
    kept = [("q", asked.q), ("sort", asked.sort), *(("col", name) for name in asked.columns)]
    return {
        "asked": asked,
        "shown": set(shown),
        "sizes": PAGE_SIZES,
        "all_count": len(every),
        "query": urlencode([pair for pair in kept if pair[1]]),
        "clear": _address(given, q=None, after=None, before=None, n=None),
        "words": "text" if any("string" in str(each.get("dtype", "")) for each in version.schema) else "",
    }


def _choice(field: Mapping[str, Any], shown: set[str], version: DatasetVersion, hidden: frozenset[str]) -> Any:
    name = field["name"]
    return {
        "name": name,
        "kind": dataset_context.KIND_WORDS[field["kind"]],
        "shown": name in shown,
        "mark": version.dataset.marks.get(name, ""),
        "hidden": name in hidden,
    }


def _table(version: DatasetVersion, page: grid.RowPage, asked: grid.Asked) -> dict[str, Any]:
    kinds = {each["name"]: each["kind"] for each in version.schema}
    base = [("q", asked.q), *(("col", name) for name in asked.columns)]
    heads = [_head(name, kinds[name], asked, base, masked=name in page.masked) for name in page.columns]
    return {
        "heads": heads,
        "grid": [
            (number + 1, [(cell, head["right"], head["masked"]) for cell, head in zip(row, heads, strict=True)])
            for number, row in zip(page.numbers, page.rows, strict=True)
        ],
        "total": page.total,
        "masked": sorted(page.masked),
        "chips": [_chip(each, page.conditions, asked) for each in page.conditions],
    }


def _head(name: str, kind: str, asked: grid.Asked, base: list[tuple[str, str]], *, masked: bool) -> dict[str, Any]:
    is_sorted = asked.sort.removeprefix("-") == name or asked.sort == name
    ascending = is_sorted and asked.sort == name
    following = "" if is_sorted and not ascending else f"-{name}" if ascending else name
    pairs = [pair for pair in (*base, ("sort", following)) if pair[1]]
    return {
        "name": name,
        "right": kind in _NUMBERS,
        "masked": masked,
        "aria": ("ascending" if ascending else "descending") if is_sorted else "",
        "address": "?" + urlencode(pairs),
    }


def _chip(condition: Condition, every: list[Condition], asked: grid.Asked) -> dict[str, str]:
    rest = " ".join(_words(each) for each in every if each is not condition)
    pairs = [("q", rest), ("sort", asked.sort), *(("col", name) for name in asked.columns)]
    return {"words": _words(condition), "address": "?" + urlencode([pair for pair in pairs if pair[1]])}


def _words(condition: Condition) -> str:
    minus = "-" if condition.negate else ""
    values = "|".join(quoted(_word(value)) for value in condition.values)
    if len(condition.columns) != 1:
        return minus + '"' + values.strip('"') + '"'
    if condition.test == "null":
        return f"{minus}{quoted(condition.columns[0])}:null"
    test = ":" if condition.test == "=" else condition.test
    return f"{minus}{quoted(condition.columns[0])}{test}{values}"


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pager(given: QueryDict, page: grid.RowPage, asked: grid.Asked) -> dict[str, Any]:
    """Where the neighbouring pages are: by row number, or by the row they follow when sorted or filtered."""
    count, size = len(page.rows), asked.limit
    plain = not asked.q and not asked.sort
    first = asked.start + 1 if plain else max(1, _number(given.get("n")) or 1)
    last = first + count - 1
    found: dict[str, Any] = {"first": first if count else 0, "last": last if count else 0, "plain": plain}
    if plain:
        found["earlier"] = _address(given, **{"from": str(max(1, first - size))}) if first > 1 else ""
        found["later"] = _address(given, **{"from": str(last + 1)}) if last < page.total else ""
    elif count:
        back = {"before": str(page.numbers[0]), "after": None, "n": str(max(1, first - size))}
        on = {"after": str(page.numbers[-1]), "before": None, "n": str(last + 1)}
        found["earlier"] = _address(given, **back) if first > 1 else ""
        found["later"] = _address(given, **on) if last < page.total else ""
    found["sizes"] = [(each, each == size, _address(given, rows=str(each))) for each in PAGE_SIZES]
    return found


def _address(given: QueryDict, **changes: str | None) -> str:
    kept = given.copy()
    for name, value in changes.items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
    return "?" + kept.urlencode()
