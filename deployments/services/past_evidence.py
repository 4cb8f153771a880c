"""The auditor's answer as files: what was in production at a moment, who allowed it, and the log lines that say so."""

import csv
import io
import json
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from deployments.models import RegisteredModel
from deployments.proof import filed
from deployments.services import packs, past
from mlportal.lib.moments import Span
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require
from projects.services import events
from projects.services import past as people

COLUMNS = (
    "environment", "endpoint", "model", "version", "share", "revision", "kind", "enabled", "since", "until",
    "switched_by", "reason", "run", "dataset", "manifest_sha256", "promotion", "requested_by", "requested_at", "policy",
    "decided_by", "verdict", "decided_at", "comment", "seal",
)  # fmt: skip


def export(by: Actor, *, project: Project, span: Span, model: RegisteredModel | None = None) -> bytes:
    """Zip of ``evidence.json``, ``evidence.csv``, ``manifest.json`` and its signature. An entry of the log itself."""
    require(by, Permission.AUDIT_VIEW, project)
    where: dict[str, Any] = {"endpoint__model": model} if model else {}
    rows = past.traffic(project, span, **where)
    found = {
        "question": f"What was in production in {project.name} on {span.words}, and who allowed it?",
        "project": project.slug, "model": model.name if model else None, "from": span.start, "to": span.end,
        "production": rows, "rules": past.policies(project, span)[0].rows,
        **{section.key: section.rows for section in people.members(project, span)},
        **{section.key: section.rows for section in people.legal_holds(project, span)},
        "made_at": timezone.now(), "made_by": by.name,
    }  # fmt: skip
    with transaction.atomic():
        told = {"as_of": span.end.isoformat(), "model": model.name if model else "", "rows": len(rows)}
        events.record(by, "evidence.exported", project=project, target=model or project, data=told)
    return packs.pack(
        {"evidence.json": _json(found), "evidence.csv": _csv(rows).encode()},
        {"project": project.slug, "rows": len(rows)},
        domain=filed.EVIDENCE,
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False, default=_text).encode()


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        asked = row["promotion"] or {}
        facts = row | {
            "promotion": asked.get("number"), "requested_by": asked.get("requested_by"), "seal": asked.get("seal"),
            "requested_at": asked.get("requested_at"), "policy": asked.get("policy", {}).get("name"),
        }  # fmt: skip
        for said in asked.get("decisions") or [{}]:
            decided = {"decided_by": said.get("by"), "verdict": said.get("verdict"), "comment": said.get("comment"),
                       "decided_at": said.get("at")}  # fmt: skip
            writer.writerow({name: _cell((facts | decided).get(name)) for name in COLUMNS})
    return out.getvalue()


def _cell(value: Any) -> str:
    """Text of a cell; what a spreadsheet would take for a formula is marked as text."""
    text = "" if value is None else _text(value)
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
