"""Write reports: blocks of text, charts, tables and run sets; freeze them; copy them."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from experiments.models import Experiment, Report
from experiments.queries import blocks
from experiments.queries.compared import View
from mlportal.lib import names
from mlportal.lib.errors import Conflict, Invalid, Missing, TooLarge
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events

MOST_BLOCKS = 50
MOST_REPORTS = 1000
LONGEST_TEXT = 50_000
LONGEST_STATE = 20_000
LONGEST_TITLE = 200
MOST_FROZEN = 32 * 2**20
KINDS = ("text", "chart", "table", "runs", "matrices")
FIELDS = {"id", "kind", "heading", "text", "experiment", "state", "chart", "metric", "study"}
Json = dict[str, Any]


def create(by: Actor, *, project: Project, title: str, content: Sequence[Json] = ()) -> Report:
    """Begin a report."""
    require(by, Permission.RUN_EDIT, project)
    now = timezone.now()
    with transaction.atomic():
        if Report.objects.in_project(project).count() >= MOST_REPORTS:
            raise Conflict(f"This project has {MOST_REPORTS} reports; remove some first.", limit=MOST_REPORTS)
        report = Report.objects.create(
            project=project, title=_title(title), blocks=_checked(project, content), created_by=by.user,
            created_at=now, updated_at=now,
        )  # fmt: skip
        events.record(by, "report.created", project=project, target=report, data={"blocks": len(report.blocks)})
    return report


def change(
    by: Actor, *, report: Report, title: str | None = None, content: Sequence[Json] | None = None, what: str = "changed"
) -> Report:
    """Put a title or all blocks in place of the old.

    Raises
    ------
    Conflict
        If the report is frozen.
    Invalid, TooLarge
        If a block has an unknown field, kind or chart, or is too long.
    """
    require(by, Permission.RUN_EDIT, report.project)
    with transaction.atomic():
        held = _open(report)
        if title is not None:
            held.title = _title(title)
        if content is not None:
            held.blocks = _checked(held.project, content)
        held.updated_at = timezone.now()
        held.save(update_fields=["title", "blocks", "updated_at"])
        events.record(by, "report.changed", project=held.project, target=held, data={"what": what})
    return held


def add(by: Actor, *, report: Report, content: Sequence[Json]) -> Report:
    """Append blocks."""
    require(by, Permission.RUN_EDIT, report.project)
    with transaction.atomic():
        held = _open(report)
        return change(by, report=held, content=[*held.blocks, *content], what="blocks added")


def edit(by: Actor, *, report: Report, block: str, changes: Json) -> Report:
    """Change the words of one block."""
    require(by, Permission.RUN_EDIT, report.project)
    with transaction.atomic():
        held = _open(report)
        _place(held, block)
        content = [{**b, **changes} if b["id"] == block else b for b in held.blocks]
        return change(by, report=held, content=content, what="block changed")


def move(by: Actor, *, report: Report, block: str, by_places: int) -> Report:
    """Move one block up (negative) or down; at an end it stays."""
    require(by, Permission.RUN_EDIT, report.project)
    with transaction.atomic():
        held = _open(report)
        at, content = _place(held, block), list(held.blocks)
        content.insert(max(0, min(len(content) - 1, at + by_places)), content.pop(at))
        return change(by, report=held, content=content, what="block moved")


def remove(by: Actor, *, report: Report, block: str) -> Report:
    """Take one block out."""
    require(by, Permission.RUN_EDIT, report.project)
    with transaction.atomic():
        held = _open(report)
        at = _place(held, block)
        return change(by, report=held, content=[*held.blocks[:at], *held.blocks[at + 1 :]], what="block removed")


def freeze(by: Actor, *, report: Report) -> Report:
    """Keep what the report shows now, for ever: values, date and sha256.

    Raises
    ------
    Conflict
        If it is frozen already.
    TooLarge
        If its values take more than 32 MB.
    """
    require(by, Permission.RUN_EDIT, report.project)
    with transaction.atomic():
        held = _open(report)
        answers = blocks.shown(by, held)
        text = blocks.canonical(_finite(answers))
        if len(text) > MOST_FROZEN:
            raise TooLarge("What this report shows takes more than 32 MB; narrow its run sets.", limit=MOST_FROZEN)
        held.frozen, held.frozen_digest, held.frozen_at = text, blocks.digest(text), timezone.now()
        held.frozen_runs = sorted({run for answer in answers for run in answer.get("run_ids", ())})
        held.save(update_fields=["frozen", "frozen_digest", "frozen_at", "frozen_runs"])
        data = {"sha256": held.frozen_digest, "blocks": len(held.blocks)}
        events.record(by, "report.frozen", project=held.project, target=held, data=data)
    return held


def copy(by: Actor, *, report: Report) -> Report:
    """Begin a live report with the same blocks."""
    require(by, Permission.RUN_EDIT, report.project)
    title = f"{report.title[: LONGEST_TITLE - 7]}, copy"
    content = [{name: value for name, value in block.items() if name != "id"} for block in report.blocks]
    return create(by, project=report.project, title=title, content=content)


def delete(by: Actor, *, report: Report) -> None:
    """Remove a report for good; the audit log keeps that it was there."""
    require(by, Permission.RUN_EDIT, report.project)
    with transaction.atomic():
        data = {"blocks": len(report.blocks), "frozen": report.frozen_digest}
        events.record(by, "report.deleted", project=report.project, target=report, data=data)
        report.delete()


def _open(report: Report) -> Report:
    """The report as it is now, locked, if it may change."""
    held = (
        Report.objects.select_for_update(of=("self",), no_key=True)
        .select_related("project")
        .filter(pk=report.pk)
        .first()
    )
    if held is None:
        raise Missing("The report is gone.")
    if held.is_frozen:
        raise Conflict("A frozen report never changes. Copy it to go on with a live one.", code="report_frozen")
    return held


def _place(report: Report, block: str) -> int:
    for at, each in enumerate(report.blocks):
        if each["id"] == block:
            return at
    raise Missing(f"This report has no block {block[:40]!r}.")


def _title(title: str) -> str:
    clean = names.clean_text(title, field="title", limit=LONGEST_TITLE).strip()
    if not clean:
        raise Invalid("A report needs a title.", field="title", got="")
    return clean


def _checked(project: Project, content: Sequence[Json]) -> list[Json]:
    if len(content) > MOST_BLOCKS:
        raise TooLarge(
            f"A report has at most {MOST_BLOCKS} blocks.", field="blocks", limit=MOST_BLOCKS, got=len(content)
        )
    wanted = {b.get("experiment") for b in content if isinstance(b, dict) and b.get("kind") != "text"}
    known = set(
        Experiment.objects.in_project(project)
        .filter(pk__in=[w for w in wanted if isinstance(w, int)])
        .values_list("pk", flat=True)
    )
    out = [_block(project, block, f"blocks.{at}", known) for at, block in enumerate(content)]
    ids = [b["id"] for b in out]
    return [b if ids.index(b["id"]) == at else {**b, "id": secrets.token_hex(4)} for at, b in enumerate(out)]


def _block(project: Project, block: Json, field: str, known: set[int]) -> Json:
    if not isinstance(block, dict) or (unknown := sorted(set(block) - FIELDS)):
        named = unknown[0] if isinstance(block, dict) else type(block).__name__
        raise Invalid(f"A block has no field {str(named)[:80]!r}.", field=field, limit=sorted(FIELDS))
    kind = block.get("kind")
    if kind not in KINDS:
        raise Invalid(f"A block is one of {', '.join(KINDS)}.", field=f"{field}.kind", got=str(kind)[:80], limit=KINDS)
    made = {"id": _id(block.get("id")), "kind": kind, "heading": _text(block, "heading", field, LONGEST_TITLE)}
    if kind == "text":
        return {**made, "text": _text(block, "text", field, LONGEST_TEXT)}
    if block.get("experiment", 0) is not None and block.get("experiment") not in known:
        raise Invalid(
            "The block's experiment is not in this project.",
            field=f"{field}.experiment",
            got=str(block.get("experiment"))[:80],
        )
    state = View.of_text(_text(block, "state", field, LONGEST_STATE)).text()
    made |= {"experiment": block["experiment"], "state": state}
    if kind != "chart":
        return made
    if block.get("chart") not in blocks.CHARTS:
        raise Invalid(
            f"A chart is one of {', '.join(blocks.CHARTS)}.",
            field=f"{field}.chart",
            got=str(block.get("chart"))[:80],
            limit=list(blocks.CHARTS),
        )
    made |= {"chart": block["chart"], "metric": _text(block, "metric", field, 250)}
    return made | _study(project, block, field) if block["chart"] == "importance" else made


def _study(project: Project, block: Json, field: str) -> Json:
    """The study of importance that a block shows; without one it says that one is to be chosen."""
    given = block.get("study")
    if given is None:
        return {}
    known = blocks.studies_of(project, [block["experiment"]])
    if type(given) is not int or all(study.pk != given for study in known[block["experiment"]]):
        raise Invalid(
            "The block's study is no finished study of its experiment or, where it names none, of several.",
            field=f"{field}.study",
            got=str(given)[:80],
        )
    return {"study": given}


def _id(given: object) -> str:
    is_ours = isinstance(given, str) and given.isascii() and given.isalnum() and len(given) <= 16
    return str(given) if is_ours and given else secrets.token_hex(4)


def _text(block: Json, name: str, field: str, limit: int) -> str:
    value = block.get(name, "")
    if not isinstance(value, str):
        raise Invalid(f"{name} must be a text.", field=f"{field}.{name}", got=type(value).__name__)
    return names.clean_text(value, field=f"{field}.{name}", limit=limit)


def _finite(value: Any) -> Any:
    """JSON has no NaN: what is no number is kept as its word."""
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, dict):
        return {str(name): _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
