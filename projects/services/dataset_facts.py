"""What people say of a dataset: owner, licence, description, tags, sensitivity marks; each edit is an event."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from mlportal.lib import names
from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.models import Dataset, Event, User
from projects.permissions import Permission, require
from projects.services import events, marks

MOST_TAGS, MOST_TAG, MOST_LICENCE, MOST_MARKS, SHOWN_EDITS = 50, 60, 100, 5_000, 50
_TAG = re.compile(r"[\w][\w .:/+-]{0,59}")
# Licences of data that the SPDX list knows, the common ones first; any other text is taken as well.
LICENCES = (
    "CC-BY-4.0", "CC0-1.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-4.0",
    "CC-BY-3.0", "CC-BY-SA-3.0", "ODbL-1.0", "ODC-By-1.0", "PDDL-1.0", "CDLA-Permissive-1.0", "CDLA-Permissive-2.0",
    "CDLA-Sharing-1.0", "C-UDA-1.0", "O-UDA-1.0", "DL-DE-BY-2.0", "DL-DE-ZERO-2.0", "etalab-2.0", "OGL-UK-3.0",
    "OGL-Canada-2.0", "NLOD-2.0", "MIT", "Apache-2.0", "BSD-3-Clause", "GPL-3.0-only", "Unlicense",
    "LicenseRef-proprietary",
)  # fmt: skip


def edit(
    by: Actor,
    *,
    dataset: Dataset,
    revision: int | None = None,
    description: str | None = None,
    owner: str | None = None,
    licence: str | None = None,
    tags: Sequence[str] | None = None,
    marked: Mapping[str, str] | None = None,
) -> Dataset:
    """Change what is said of a dataset; values left out stay.

    Parameters
    ----------
    revision : int or None
        The one that the editor saw; another person's edit since then is not overwritten.
    owner : str or None
        User name of a member; empty for nobody.
    marked : mapping or None
        All marks by column; a column that is left out, or marked ``none``, has none.

    Raises
    ------
    Invalid
        Naming the field.
    Conflict
        When somebody else changed it meanwhile, with their name.
    """
    require(by, Permission.DATASET_EDIT, dataset.project)
    given: dict[str, Any] = {
        "description": None if description is None else names.clean_text(description, field="description"),
        "licence": None if licence is None else _licence(licence),
        "tags": None if tags is None else _tags(tags),
        "marks": None if marked is None else _marks(dataset, marked),
    }
    wanted = {key: value for key, value in given.items() if value is not None}
    with transaction.atomic():
        held = Dataset.objects.select_for_update(of=("self",), no_key=True).select_related("project").get(pk=dataset.pk)
        if revision is not None and revision != held.revision:
            raise Conflict(_stale(held), code="stale_edit", field="revision", got=revision, limit=held.revision)
        if owner is not None:
            wanted["owner"] = _owner(held, owner)
        changes = {key: value for key, value in wanted.items() if getattr(held, key) != value}
        if changes:
            said = {key: {"from": _said(getattr(held, key)), "to": _said(value)} for key, value in changes.items()}
            for key, value in changes.items():
                setattr(held, key, value)
            held.revision += 1
            held.save(update_fields=[*changes, "revision"])
            events.record(by, "dataset.edited", project=held.project, target=held, data={"changes": said})
    return held


def history(by: Actor, *, dataset: Dataset) -> list[Event]:
    """The newest edits of a dataset, from the audit log."""
    require(by, Permission.DATASET_VIEW, dataset.project)
    rows = Event.objects.filter(target_type="dataset", target_id=dataset.pk, project=dataset.project)
    return list(rows.order_by("-seq")[:SHOWN_EDITS])


def tag_words(text: str) -> list[str]:
    """Tags of one line, separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _licence(text: object) -> str:
    if not isinstance(text, str) or len(text) > MOST_LICENCE or not text.isprintable():
        raise Invalid(f"licence has at most {MOST_LICENCE} characters.", field="licence", limit=MOST_LICENCE)
    return text.strip()


def _tags(words: Sequence[str]) -> list[str]:
    if isinstance(words, str) or len(words) > MOST_TAGS:
        raise Invalid(f"tags is a list of at most {MOST_TAGS}.", field="tags", limit=MOST_TAGS)
    for word in words:
        if not isinstance(word, str) or not _TAG.fullmatch(word.strip()):
            raise Invalid(
                f"A tag is 1 to {MOST_TAG} letters, digits, blanks and . : / + -.", field="tags", got=str(word)[:100]
            )
    return sorted({word.strip() for word in words})


def _marks(dataset: Dataset, marked: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(marked, Mapping) or len(marked) > MOST_MARKS:
        raise Invalid(f"marks is an object of at most {MOST_MARKS:,} columns.", field="marks", limit=MOST_MARKS)
    newest = dataset.versions.kept().exclude(schema=[]).order_by("-number").values_list("schema", flat=True).first()
    known = {column["name"] for column in newest or []} | set(dataset.marks)
    for name, mark in marked.items():
        if name not in known:
            raise Invalid(f"There is no column {name[:100]!r} in {dataset.name}.", field="marks", got=name[:200])
        if mark not in ("", "none", *marks.MARKS):
            raise Invalid(f"A mark is none, {', '.join(marks.MARKS)}.", field="marks", got=str(mark)[:60])
    return {name: mark for name, mark in sorted(marked.items()) if mark in marks.MARKS}


def _owner(dataset: Dataset, username: str) -> User | None:
    if not username:
        return None
    found = User.objects.filter(username=username, is_active=True).first()
    if found is None or not dataset.project.roles_of(found):
        raise Invalid(f"{username[:60]!r} is no member of {dataset.project.name}.", field="owner", got=username[:60])
    return found


def _said(value: Any) -> Any:
    """A value as an event keeps it: short, and a person by name."""
    if isinstance(value, User):
        return value.username
    return value[:500] if isinstance(value, str) else value


def _stale(held: Dataset) -> str:
    last = Event.objects.filter(target_type="dataset", target_id=held.pk, verb="dataset.edited").order_by("-seq")
    who = last.values_list("who__name", flat=True).first() or "Somebody"
    return f"{who} changed {held.name} since you opened it. Look at their values, then save again."
