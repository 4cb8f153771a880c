"""What the dataset templates show, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlportal.lib.quantities import filesize, num
from projects import charts
from projects.actor import Actor
from projects.models import Dataset, DatasetVersion, Project
from projects.services import checks, dataset_diff, dataset_facts, datasets, imports, marks
from projects.tabular import sniff
from projects.tabular.diff import LARGE, NOTABLE, Difference
from projects.views import dataset_tabs

SHOWN_CHECKS = 4
KIND_WORDS = {
    "numeric": "decimal",
    "integer": "int",
    "boolean": "bool",
    "categorical": "category",
    "text": "text",
    "datetime": "time",
    "id": "id",
}


@dataclass(frozen=True)
class Row:
    """One dataset in the list."""

    dataset: Dataset
    latest: DatasetVersion | None
    growth: list[int]
    uses: datasets.Uses


@dataclass(frozen=True)
class Column:
    """One column in the profile table."""

    name: str
    kind: str
    kind_word: str
    missing: float
    distinct: str
    bars: list[charts.Bar]
    earlier: str
    summary: list[str]
    describes: str
    psi: float | None = None
    level: str = ""
    mark: str = ""


def listing(actor: Actor, project: Project, found: list[Dataset]) -> dict[str, Any]:
    """Rows of the list, with three queries however many datasets there are."""
    latest = DatasetVersion.objects.light().in_bulk([dataset.latest_id for dataset in found if dataset.latest_id])
    growth: dict[int, list[int]] = {dataset.pk: [] for dataset in found}
    counted = DatasetVersion.objects.ready().filter(dataset__in=found).order_by("number")
    for dataset_id, rows in counted.values_list("dataset_id", "row_count"):
        growth[dataset_id].append(rows)
    uses = datasets.uses(actor, project=project, versions=list(latest))
    rows = [
        Row(dataset, latest.get(dataset.latest_id), growth[dataset.pk], uses.get(dataset.latest_id, datasets.Uses()))
        for dataset in found
    ]
    return {"rows": rows}


def history(actor: Actor, project: Project, dataset: Dataset, found: list[DatasetVersion]) -> dict[str, Any]:
    """Versions of one dataset with what uses them."""
    for version in found:
        version.dataset = dataset
    uses = datasets.uses(actor, project=project, versions=[version.pk for version in found])
    edits = dataset_facts.history(actor, dataset=dataset)[:10]
    return {"history": edits, "dataset": dataset, "versions": [(version, uses[version.pk]) for version in found]}


def detail(actor: Actor, version: DatasetVersion) -> dict[str, Any]:
    """Everything the page of one version shows."""
    context = frame(actor, version)
    before = dataset_diff.earlier(actor, version=version)
    context["before"] = before
    if version.is_ready:
        found = _compared(actor, before, version)
        hidden = marks.hidden(actor, dataset=version.dataset)
        context["columns"] = columns(version, before, found, hidden)
        context["changes"] = found.changes if found else ()
        context["remarks"] = marks.remarks(version, hidden)
        context["reading"] = _reading(version)
        context["quality"] = _quality(actor, version)
        context["derived_from"] = _parent(actor, version)
        context["took"] = version.ended_at - version.started_at if version.ended_at and version.started_at else None
    return context


def frame(actor: Actor, version: DatasetVersion) -> dict[str, Any]:
    """What the head of each page of one version shows: facts, tabs, other versions."""
    dataset = version.dataset
    versions = dataset.versions.kept().light().order_by("-number")
    newest = list(versions[:10])
    uses = datasets.uses(actor, project=dataset.project, versions=[version.pk], newest=5)[version.pk]
    before = next((one for one in newest if one.number < version.number and one.is_ready), None)
    return {
        "version": version,
        "source_words": imports.words(version.source_kind, version.source),
        "dataset": dataset,
        "newest": newest,
        "is_latest": bool(newest) and newest[0].pk == version.pk,
        "version_count": newest[0].number if newest else 0,
        "uses": uses,
        "facts": _facts(version, before, uses),
        "warning_words": _warning_words(version),
        "tabs": dataset_tabs.shown(version, {"versions": newest[0].number if newest else 0}),
    }


def _warning_words(version: DatasetVersion) -> str:
    count = sum(remark["level"] == "warning" for remark in version.warnings)
    return "" if not count else "1 warning" if count == 1 else f"{count:,} warnings"


def _facts(version: DatasetVersion, before: DatasetVersion | None, uses: datasets.Uses) -> list[dict[str, str]]:
    targets = sum(field["kind"] == "id" for field in version.schema)
    period = _period(version)
    facts = [
        {"label": "Rows", "value": f"{version.row_count or 0:,}", "small": _more_rows(version, before)},
        {"label": "Columns", "value": f"{version.column_count or 0:,}", "small": f"{targets} id" if targets else ""},
    ]
    if version.size_bytes:
        facts.append({"label": "Size", "value": filesize(version.size_bytes), "small": _form(version)})
    if period:
        facts.append({"label": "Period", "value": period[0], "small": period[1]})
    runs = "run" if uses.runs == 1 else "runs"
    models = "model" if uses.models == 1 else "models"
    facts.append({"label": "Used by", "value": f"{uses.models:,}", "small": f"{models}, {uses.runs:,} {runs}"})
    return facts


def _more_rows(version: DatasetVersion, before: DatasetVersion | None) -> str:
    """How many rows more than the version before: ``+41,870``."""
    more = (version.row_count or 0) - (before.row_count or 0) if before else 0
    return f"{more:+,}".replace("-", "−") if more else ""


def _form(version: DatasetVersion) -> str:
    files = f", {len(version.manifest):,} files" if version.manifest else ""
    return f"{version.get_format_display()}{files}"


def _quality(actor: Actor, version: DatasetVersion) -> dict[str, Any]:
    """What the newest run of the checks found, worst first; empty without one."""
    run = checks.newest_run(actor, version=version)
    if run is None:
        return {}
    return {"run": run, "results": checks.results(actor, run=run)[:SHOWN_CHECKS] if run.is_terminal else []}


def _parent(actor: Actor, version: DatasetVersion) -> DatasetVersion | None:
    """The version that this one was made from, unless it lies in the trash."""
    if version.derived_from_id is None:
        return None
    rows = DatasetVersion.objects.visible_to(actor).light().select_related("dataset")
    return rows.filter(pk=version.derived_from_id).first()


def _period(version: DatasetVersion) -> tuple[str, str] | None:
    for field in version.schema:
        facts = version.profile.get(field["name"], {})
        if field["kind"] == "datetime" and facts.get("min"):
            first, last = (datetime.fromisoformat(facts[key]) for key in ("min", "max"))
            days = (last - first).days
            span = f"{days / 365.25:.1f} y" if days > 730 else f"{days // 30} mo" if days > 60 else f"{days} d"
            return span, f"{first:%b %Y} to {last:%b %Y}"
    return None


def columns(
    version: DatasetVersion,
    before: DatasetVersion | None,
    found: Difference | None,
    hidden: frozenset[str] = frozenset(),
) -> list[Column]:
    """The profile table; ``before`` draws the outline of the earlier version, ``found`` says how far it moved.

    Values of the columns in ``hidden`` are masked.
    """
    earlier = marks.profile(before, hidden) if before else {}
    profile = marks.profile(version, hidden)
    apart = {change.name: change.distance.psi for change in found.columns if change.distance} if found else {}
    return [
        _column(field, profile[field["name"]], version, earlier, apart.get(field["name"])) for field in version.schema
    ]


def _column(
    field: dict[str, Any], facts: dict[str, Any], version: DatasetVersion, earlier: dict[str, Any], psi: float | None
) -> Column:
    name, kind = field["name"], field["kind"]
    drawn = [] if kind == "id" or facts.get("masked") else charts.column_bars(facts)
    old = earlier.get(name)
    return Column(
        name=name,
        kind=kind,
        kind_word=KIND_WORDS[kind],
        missing=facts["nulls"] / (version.row_count or 1),
        distinct=num(facts["distinct"]),
        bars=drawn,
        earlier=charts.outline(facts, old) if drawn and old and not old.get("masked") else "",
        summary=[] if kind == "id" else _summary(kind, facts, version.row_count or 1),
        describes="values are masked" if facts.get("masked") else _describes(kind, facts),
        psi=psi,
        level="" if psi is None or psi < NOTABLE else "warn" if psi < LARGE else "bad",
        mark=version.dataset.marks.get(name, ""),
    )


def _summary(kind: str, facts: dict[str, Any], rows: int) -> list[str]:
    """Least, middle and greatest value, or the most frequent ones with their share."""
    if kind in ("numeric", "integer", "datetime"):
        if facts["min"] is None:
            return []
        return [value_words(value) for value in (facts["min"], facts["quantiles"]["0.5"], facts["max"])]
    present = max(1, rows - facts["nulls"])
    few = facts["top"][:3] if all(len(entry["value"]) <= 8 for entry in facts["top"][:3]) else facts["top"][:2]
    return [f"{_short(entry['value'])} {entry['count'] / present:.0%}" for entry in few]


def _describes(kind: str, facts: dict[str, Any]) -> str:
    """Words for those who do not see the drawing."""
    if kind == "id":
        return "unique key"
    if facts["histogram"]:
        return (
            f"{len(facts['histogram']['counts'])} bars from {value_words(facts['min'])} to {value_words(facts['max'])}"
        )
    return f"{len(facts['top'])} most frequent values"


def value_words(value: Any) -> str:
    """A number or a time of a profile, as people read it."""
    if isinstance(value, str):
        return value.replace("T00:00:00", "").replace("T", " ")
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    return f"{value:,.6g}".replace("-", "−")


def _short(text: str) -> str:
    return text if len(text) <= 18 else text[:17] + "…"


def _reading(version: DatasetVersion) -> str:
    facts = version.facts
    if "delimiter" not in facts:
        return "Parquet"
    return f"CSV, {sniff.DELIMITERS[facts['delimiter']]}, {facts['encoding'].removesuffix('-sig').upper()}"


def _compared(actor: Actor, before: DatasetVersion | None, after: DatasetVersion) -> Difference | None:
    if before is None:
        return None
    return dataset_diff.compare(actor, dataset=after.dataset, a=before.number, b=after.number).difference
