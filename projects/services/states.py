"""What an object looked like before and after an event, read from its row, so that no caller can forget it."""

import json
import re
import secrets
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.db import models

from mlportal.lib import chain
from mlportal.lib.sql import Statement, plain_row, upsert
from projects.models import ObjectState, User

# Rows of data, not of governance: they come by the thousand, and the finish of a run carries their digest.
DATA = frozenset({"run", "artifact", "loggedmodel", "prediction"})
# What moves by itself, without anybody's decision.
RESTLESS = frozenset(
    {
        "last_login", "last_used_at", "updated_at", "lease_until", "worker", "fence", "attempt", "published_at",
        "progress", "phase", "history", "recent", "seen", "age", "clears", "value", "last_number",
    }
)  # fmt: skip
# An address may hold a secret in its path or query: chat systems and signed links do that.
SECRET = re.compile(r"password|secret|token|sealed|sha256$|^secrets?_|credential|totp|recovery|^urls?$|_url$")
PERSONAL = {"user": frozenset({"username", "email", "display_name"})}
_KNOWN = Statement("SELECT fields, salt, hash FROM projects_objectstate WHERE target_type = %s AND target_id = %s")
HIDDEN, PERSON = "(hidden)", "(personal)"
LONGEST = 300


@dataclass(frozen=True)
class Difference:
    """Hashes of an object before and after, and the fields in which they differ."""

    before: str = ""
    after: str = ""
    changes: dict[str, list[Any]] = field(default_factory=dict)


def difference(target: models.Model | None) -> Difference:
    """Compare an object's row with what it was at its newest event, and remember it for the next.

    Two statements and a write; nothing for rows of :data:`DATA`, which no one decides about.
    """
    kind = target._meta.model_name or "" if target is not None else ""
    if target is None or target.pk is None or kind in DATA:
        return Difference()
    known = _KNOWN.row([kind, target.pk])
    fields, salt, before = known or ("{}", _salt(kind), "")
    now = read(target)
    if now is None:
        return Difference(before)
    changes = _changes(kind, json.loads(fields), now)
    if known is not None and not changes:
        return Difference(before, before)
    after = chain.sha256([salt, now] if salt else now)
    newest = ObjectState(target_type=kind, target_id=target.pk, fields=now, salt=salt, hash=after)
    upsert(newest, unique=("target_type", "target_id"))
    return Difference(before, after, changes)


def read(target: models.Model) -> dict[str, Any] | None:
    """Return the row of an object as plain values, long ones by their hash; None when it is gone."""
    model = target._meta.model  # not its type: a request's user is a proxy
    row = plain_row(model, _names(model), target.pk)
    return {name: _short(name, value) for name, value in row.items()} if row is not None else None


@cache
def _names(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(each.attname for each in model._meta.concrete_fields if each.name not in RESTLESS)


def forget(user: User) -> None:
    """Erase what is remembered of a person's account; its hashes in the chain stay."""
    ObjectState.objects.filter(target_type="user", target_id=user.pk).update(fields={}, salt="")


def _short(name: str, value: Any) -> Any:
    plain = chain.exact(value)
    if SECRET.search(name) and plain not in (None, "", [], {}):
        return f"sha256:{chain.sha256(plain)}"
    size = (
        len(plain) if isinstance(plain, str) else len(chain.canonical(plain)) if isinstance(plain, list | dict) else 0
    )
    return f"sha256:{chain.sha256(plain)} ({size:,} characters)" if size > LONGEST else plain


def _changes(kind: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    """Fields that differ, secrets and people masked; of a new object those that hold something."""
    hidden = PERSONAL.get(kind, frozenset())
    found = {}
    for name, value in after.items():
        old = before.get(name)
        if old == value or (not before and value in (None, "", [], {})):
            continue
        mask = PERSON if name in hidden else HIDDEN if SECRET.search(name) else None
        found[name] = [mask and old and mask, mask and value and mask] if mask else [old, value]
    return found


def _salt(kind: str) -> str:
    return secrets.token_hex(16) if kind in PERSONAL else ""
