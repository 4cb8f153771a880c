"""Stored connections of a project: to a PostgreSQL database or an S3 store, the secret sealed for good."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from mlportal.lib import http, names, sealed
from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.models import Connection, Project
from projects.permissions import Permission, require
from projects.services import events

MOST_CONNECTIONS = 50
MOST_SECRET = 1_000
TLS_MODES = ("prefer", "require", "verify-full")
FIELDS = {
    Connection.Kind.POSTGRES: ("host", "port", "database", "user", "sslmode"),
    Connection.Kind.S3: ("endpoint", "region", "access_key"),
}


def create(by: Actor, *, project: Project, name: str, kind: str, facts: dict[str, Any], secret: str) -> Connection:
    """Add a connection; its password or secret key is sealed and never shown again.

    Raises
    ------
    Invalid
        Naming the field: also for a host that is not public and that the operator has not allowed.
    Conflict
        When the name is taken or the project has 50.
    """
    require(by, Permission.CONNECTION_EDIT, project)
    if by.user is None:
        raise Invalid("A connection needs a person who adds it.", field="by")
    if kind not in Connection.Kind.values:
        raise Invalid(f"kind is one of: {', '.join(Connection.Kind.values)}.", field="kind", got=str(kind)[:20])
    name = names.clean(name)
    checked, plain = check(kind, facts), _secret(secret)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        others = Connection.objects.in_project(project)
        if others.filter(name_key=names.key(name)).exists():
            raise Conflict(f"There is a connection {name} already.", code="name_taken", field="name", got=name)
        if others.count() >= MOST_CONNECTIONS:
            raise Conflict(f"A project has at most {MOST_CONNECTIONS} connections.", limit=MOST_CONNECTIONS)
        made = Connection.objects.create(
            project=project, name=name, name_key=names.key(name), kind=kind, facts=checked,
            sealed_secret=sealed.seal(plain) if plain else "", created_by=by.user,
        )  # fmt: skip
        events.record(by, "connection.created", project=project, target=made, data={"kind": kind, **checked})
    return made


def update(
    by: Actor, *, connection: Connection, facts: dict[str, Any] | None = None, secret: str | None = None
) -> Connection:
    """Change where a connection leads, its secret, or both. A new place needs the secret with it.

    Raises
    ------
    Invalid
        When the host or endpoint changes without a new secret: the stored one is for the old place only.
    """
    require(by, Permission.CONNECTION_EDIT, connection.project)
    checked = check(connection.kind, facts) if facts is not None else connection.facts
    place = ("host", "port", "endpoint")
    moved = any(checked.get(key) != connection.facts.get(key) for key in place)
    if moved and not secret:
        raise Invalid("Another host needs its secret with it.", field="secret")
    with transaction.atomic():
        held = Connection.objects.select_for_update(of=("self",), no_key=True).get(pk=connection.pk)
        changed = sorted(key for key in checked if checked[key] != held.facts.get(key))
        held.facts = checked
        if secret:
            held.sealed_secret = sealed.seal(_secret(secret))
            changed.append("secret")
        held.save(update_fields=["facts", "sealed_secret", "updated_at"])
        events.record(by, "connection.updated", project=held.project, target=held, data={"changed": changed})
    return held


def remove(by: Actor, *, connection: Connection) -> None:
    """Take a connection away and forget its secret; what was fetched with it stays.

    Raises
    ------
    Conflict
        When it is gone already.
    """
    require(by, Permission.CONNECTION_EDIT, connection.project)
    with transaction.atomic():
        there = Connection.objects.filter(pk=connection.pk, removed_at=None)
        if not there.update(removed_at=timezone.now(), sealed_secret=""):
            raise Conflict("The connection is gone already.")
        events.record(by, "connection.removed", project=connection.project, target=connection)


def check(kind: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Checked values of a connection's fields.

    Raises
    ------
    Invalid
        Naming the field.
    """
    if unknown := sorted(set(facts) - set(FIELDS[Connection.Kind(kind)])):
        raise Invalid(f"There is no field {unknown[0][:60]!r} here.", field=unknown[0][:60])
    return _postgres(facts) if kind == Connection.Kind.POSTGRES else _s3(facts)


def _postgres(facts: dict[str, Any]) -> dict[str, Any]:
    port = facts.get("port") or 5432
    if not isinstance(port, int) or isinstance(port, bool):
        raise Invalid("port is a number.", field="port", got=str(port)[:20])
    sslmode = facts.get("sslmode") or "prefer"
    if sslmode not in TLS_MODES:
        raise Invalid(f"sslmode is one of: {', '.join(TLS_MODES)}.", field="sslmode", got=str(sslmode)[:20])
    target = http.check_host(facts.get("host"), port, allow=settings.OUTBOUND_ALLOW)
    return {
        "host": target.host, "port": port, "database": _words(facts, "database"), "user": _words(facts, "user"),
        "sslmode": sslmode,
    }  # fmt: skip


def _s3(facts: dict[str, Any]) -> dict[str, Any]:
    region = _words(facts | {"region": facts.get("region") or "us-east-1"}, "region")
    endpoint = facts.get("endpoint") or f"https://s3.{region}.amazonaws.com"
    http.check_url(endpoint, allow=settings.OUTBOUND_ALLOW, field="endpoint")
    return {"endpoint": endpoint.rstrip("/"), "region": region, "access_key": _words(facts, "access_key")}


def _words(facts: dict[str, Any], field: str) -> str:
    value = facts.get(field)
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
        raise Invalid(f"{field} is 1 to 200 characters.", field=field)
    return value.strip()


def _secret(secret: str) -> str:
    if not isinstance(secret, str) or len(secret) > MOST_SECRET or "\x00" in secret:
        raise Invalid(f"secret has at most {MOST_SECRET} characters.", field="secret", limit=MOST_SECRET)
    return secret
