"""What people said of models at a moment that has been, told from the audit log."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from deployments.cards.writing import written
from deployments.models import ModelVersion, PaperVersion, RegisteredModel
from deployments.services.model_facts import EDITED, FIELDS, LABELS
from deployments.services.writings import VERBS
from mlportal.lib.moments import Span
from projects.models import Event, Project, User
from projects.services.past import Section


def facts(project: Project, models: Iterable[RegisteredModel], span: Span) -> dict[int, dict[str, Any]]:
    """Return what was said of each model then: what is said now, with the edits since taken back; one query.

    The models come with their owner.
    """
    kept = {model.pk: _now(model) for model in models}
    rows = Event.objects.filter(project=project, verb__in=(EDITED, VERBS["card"]), at__gt=span.end)
    for event in rows.order_by("-seq"):
        about = event.data.get("model_id") if event.verb == VERBS["card"] else event.target_id
        for field, change in event.data.get("changes", {}).items():
            if about in kept and field in FIELDS:
                kept[about][field] = change["from"]
    return kept


def section(model: RegisteredModel, span: Span) -> Section:
    """Return what was said of one model as a table."""
    then = facts(model.project, [model], span)[model.pk]
    lines = [{"field": LABELS[field], "said": words(field, then[field])} for field in FIELDS]
    return Section("facts", "What was said of it", {"field": "Field", "said": "Said"}, lines)


def paper(version: ModelVersion, span: Span, *, kind: str, labels: Mapping[str, str]) -> list[Section]:
    """Return what people had written in a paper of a version by then: three queries and one for the names."""
    rows = PaperVersion.objects.about(version, kind).filter(written_at__lte=span.end)
    number = rows.order_by("-number").values_list("number", flat=True).first() or 0
    said = written(version, kind, number=number).parts if number else {}
    people = dict(User.objects.filter(pk__in={part.by for part in said.values()}).values_list("pk", "username"))
    lines = [
        {
            "part": labels[name], "text": said[name].text, "by": people.get(said[name].by or 0, ""),
            "at": datetime.fromisoformat(said[name].at), "for": said[name].level, "number": said[name].number,
        }
        for name in labels if name in said
    ]  # fmt: skip
    columns = {"part": "Part", "text": "Said", "by": "Written by", "at": "Written", "for": "For", "number": "Number"}
    return [Section(kind, f"What number {number} said", columns, lines, "Nobody had written anything.")]


def words(field: str, value: Any) -> str:
    """Return a value as people read it."""
    return str(value or ("not stated" if field != "owner" else "nobody"))


def _now(model: RegisteredModel) -> dict[str, Any]:
    return {
        field: (model.owner.username if model.owner else None) if field == "owner" else getattr(model, field)
        for field in FIELDS
    }
