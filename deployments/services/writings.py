"""Texts that people write in the papers of a model: checked, numbered, never changed afterwards."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from deployments.cards.writing import own
from deployments.models import ModelVersion, PaperVersion
from deployments.proof import canonical, papers
from mlportal.lib import names
from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.models import User
from projects.permissions import Permission, require
from projects.services import events

LEVELS = ("model", "version")
VERBS = {"card": "card.written", "file": "technical_file.written"}
MAX_TEXT = 20_000


def checked(texts: object, known: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of a request.

    Raises
    ------
    Invalid
        Naming the part, what came and what is allowed.
    """
    if not isinstance(texts, Mapping) or not texts:
        raise Invalid("Give one or more texts by the name of their part.", field="texts", limit=list(known))
    for name in texts:
        if name not in known:
            raise Invalid(
                f"{str(name)[:60]} is no part. Parts: {', '.join(known)}.", field="texts", got=str(name)[:60],
                limit=list(known),
            )  # fmt: skip
    return {name: names.clean_text(text, field=name, limit=MAX_TEXT) for name, text in texts.items()}


def add(
    by: Actor,
    *,
    version: ModelVersion,
    paper: str,
    level: str,
    texts: Mapping[str, str],
    seen: int | None,
    shown: Mapping[str, str] | None = None,
    told: Mapping[str, Any] | None = None,
) -> PaperVersion | None:
    """Append a version of a paper, in the caller's transaction with the model locked; None when nothing changes.

    Parameters
    ----------
    shown
        Texts that another record holds, and that are shown in place of what was written last.
    told
        What was written to that record too: before and after by name, for the event.

    Raises
    ------
    Invalid
        When there is no such level.
    Conflict
        When ``seen`` is not the newest number any more, with who saved it and when.
    """
    require(by, Permission.MODEL_REGISTER, version.model.project)
    if level not in LEVELS:
        raise Invalid(f"level must be one of {', '.join(LEVELS)}.", field="level", got=str(level)[:50], limit=LEVELS)
    newest = PaperVersion.objects.filter(model=version.model_id, paper=paper).order_by("-number").first()
    _check_seen(version, paper, seen)
    before = own(version, paper, level=level)
    present = {name: part["text"] for name, part in before.items()} | dict(shown or {})
    changed = [name for name, text in texts.items() if text != present.get(name, "")]
    if not changed:
        return None
    number = newest.number + 1 if newest else 1
    now = timezone.now()
    said = {"by": by.user.pk if by.user else None, "at": now.isoformat(), "number": number}
    after = {**before, **{name: {"text": texts[name], **said} for name in changed}}
    after = {name: part for name, part in after.items() if part["text"]}
    made = PaperVersion.objects.create(
        model_id=version.model_id, version=version if level == "version" else None, paper=paper, number=number,
        parts=after, changed=changed, sha256=canonical.digest(after), written_by=by.user, written_at=now,
    )  # fmt: skip
    events.record(
        by, VERBS[paper], project=version.model.project, target=made,
        data={
            "model": version.model.name, "number": number, "level": level, "parts": changed,
            **({"model_id": version.model_id, "changes": dict(told)} if told else {}),
        },
    )  # fmt: skip
    return made


def history(by: Actor, *, version: ModelVersion, paper: str) -> QuerySet[PaperVersion]:
    """Return the saved changes that a version shows, newest first."""
    require(by, Permission.MODEL_VIEW, version.model.project)
    rows = PaperVersion.objects.about(version, paper).select_related("version__model", "model", "written_by")
    return rows.order_by("-number")


def named(paper: Any) -> Any:
    """Put people's names into a paper, as they are called today: one query."""
    accounts = papers.people(paper)
    found = User.objects.in_bulk(accounts) if accounts else {}
    return papers.named(paper, lambda account: str(found[account]) if account in found else "unknown")


def _check_seen(version: ModelVersion, paper: str, seen: int | None) -> None:
    """Refuse to write over what somebody saved meanwhile; changes of other versions' own texts do not matter."""
    if seen is None:
        return
    last = PaperVersion.objects.about(version, paper).select_related("written_by").order_by("-number").first()
    if (last.number if last else 0) != seen:
        who = f"{last.written_by} saved {last.number} at {last.written_at:%Y-%m-%d %H:%M} UTC" if last else ""
        raise Conflict(
            f"What you started from is not the newest: {who}. Look at it and save again.", code="stale_edit",
            field="seen", got=seen, limit=last.number if last else 0,
        )  # fmt: skip
