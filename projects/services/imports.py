"""Fetch datasets from elsewhere: an address, S3, PostgreSQL, a folder. A worker does it; this starts and ends it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from mlportal.lib import http, lease, names, queue, s3, sealed
from mlportal.lib.errors import Conflict, Invalid, Missing
from projects.actor import Actor
from projects.models import Connection, DatasetImport, DatasetVersion, Project
from projects.permissions import Permission, require
from projects.services import events
from projects.services.datasets import Reading
from projects.tabular import folder

IMPORT_TASK = "projects.import_dataset"
MOST_QUERY = 20_000
MOST_OPEN = 20
Source = DatasetVersion.Source
KINDS = (Source.URL, Source.S3, Source.POSTGRES, Source.FOLDER)
FIELDS = {
    Source.URL: ("url", "encoding", "delimiter"),
    Source.S3: ("bucket", "key", "encoding", "delimiter"),
    Source.POSTGRES: ("query",),
    Source.FOLDER: ("root", "folder"),
}


@dataclass(frozen=True)
class _Checked:
    """A source that may be fetched: what is shown of it, and what is not."""

    spec: dict[str, Any]
    sealed: str = ""


def start(
    by: Actor,
    *,
    project: Project,
    name: str,
    kind: str,
    spec: Mapping[str, Any],
    connection: str = "",
    description: str = "",
) -> DatasetImport:
    """Have the next version of a dataset fetched.

    Parameters
    ----------
    kind : str
        ``url`` (url), ``s3`` (bucket, key), ``postgres`` (query) or ``folder`` (root, folder).
    connection : str
        Name of the stored connection that S3 and PostgreSQL need.

    Raises
    ------
    Invalid, Missing
        Naming the field: an address that is not public, a query that is empty, a folder outside its root.
    Conflict
        When the project has 20 fetches that have not ended.
    """
    require(by, Permission.DATASET_CREATE, project)
    if by.user is None:
        raise Invalid("An import needs a person who asks for it.", field="by")
    if kind not in KINDS:
        raise Invalid(f"kind is one of: {', '.join(KINDS)}.", field="kind", got=str(kind)[:20])
    name, description = names.clean(name), names.clean_text(description, field="description")
    place = _connection(project, kind, connection)
    checked = _check(kind, spec, place)
    row = DatasetImport(
        project=project, name=name, kind=kind, spec=checked.spec, sealed_spec=checked.sealed, connection=place,
        description=description, created_by=by.user,
    )  # fmt: skip
    return _queue(by, row)


def refresh(by: Actor, *, version: DatasetVersion) -> DatasetImport:
    """Fetch the source of a version again; the next version is made only when it has changed.

    Raises
    ------
    Conflict
        For an upload or a sample, which have no source to ask, or when its connection was removed.
    """
    require(by, Permission.DATASET_CREATE, version.dataset.project)
    project = version.dataset.project
    if by.user is None:
        raise Invalid("An import needs a person who asks for it.", field="by")
    if version.source_kind not in KINDS:
        raise Conflict(f"{version} was uploaded; there is no source to ask again.", code="no_source")
    kept = {key: version.source[key] for key in FIELDS[Source(version.source_kind)] if key in version.source}
    place = _connection(project, version.source_kind, str(version.source.get("connection", "")))
    kept |= {"connection": place.name} if place is not None else {}
    row = DatasetImport(
        project=project, name=version.dataset.name, kind=version.source_kind, spec=kept, connection=place,
        sealed_spec=version.sealed_source, refreshes=version, created_by=by.user,
    )  # fmt: skip
    return _queue(by, row)


def cancel(by: Actor, *, found: DatasetImport) -> DatasetImport:
    """Stop a fetch; nothing of it is kept.

    Raises
    ------
    Conflict
        When it has ended.
    """
    require(by, Permission.DATASET_CREATE, found.project)
    with transaction.atomic():
        if found.is_terminal:
            raise Conflict(f"The {found} has ended: it is {found.get_state_display()}.")
        lease.request_cancel(DatasetImport.objects.all(), found.pk)
        events.record(by, "import.cancelled", project=found.project, target=found)
    found.refresh_from_db()
    return found


def address_of(found: DatasetImport) -> str:
    """Whole address of what is fetched, with the part that may hold a secret; for the worker."""
    if found.kind == Source.S3:
        assert found.connection is not None
        return s3.object_url(found.connection.facts["endpoint"], found.spec["bucket"], found.spec["key"])
    return sealed.unseal(found.sealed_spec) if found.sealed_spec else str(found.spec["url"])


def words(kind: str, source: Mapping[str, Any]) -> str:
    """One line for people: where it comes from."""
    if kind == Source.URL:
        return str(source.get("url", ""))
    if kind == Source.S3:
        return f"s3://{source.get('bucket', '')}/{source.get('key', '')}"
    if kind == Source.POSTGRES:
        return f"query over {source.get('connection', '')}"
    if kind == Source.SCORED:
        return f"{source.get('dataset', '')} scored by {source.get('model', '')}"
    return f"{source.get('root', '')}/{source.get('folder', '')}" if kind == Source.FOLDER else ""


def _queue(by: Actor, row: DatasetImport) -> DatasetImport:
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=row.project_id)
        waiting = DatasetImport.objects.in_project(row.project).exclude(state__in=lease.TERMINAL).count()
        if waiting >= MOST_OPEN:
            raise Conflict(f"{waiting} imports have not ended; at most {MOST_OPEN} may be open.", limit=MOST_OPEN)
        row.save(force_insert=True)
        queue.enqueue(IMPORT_TASK, row.pk)
        data = {"dataset": row.name, "kind": row.kind, "source": words(row.kind, row.spec)[:300]}
        events.record(by, "import.started", project=row.project, target=row, data=data)
    return row


def _connection(project: Project, kind: str, name: str) -> Connection | None:
    if kind not in (Source.S3, Source.POSTGRES):
        if name:
            raise Invalid(f"A {kind} import takes no connection.", field="connection")
        return None
    found = Connection.objects.in_project(project).filter(kind=kind, name_key=names.key(name)).first() if name else None
    if found is None:
        raise Missing(
            f"There is no {kind} connection {name[:60]!r} in {project.name}. A project admin adds it in the settings.",
            field="connection",
        )
    return found


def _check(kind: str, spec: Mapping[str, Any], place: Connection | None) -> _Checked:
    if unknown := sorted(set(spec) - set(FIELDS[Source(kind)])):
        raise Invalid(f"A {kind} import has no field {unknown[0][:60]!r}.", field=unknown[0][:60])
    if kind == Source.URL:
        return _check_url(spec)
    if kind == Source.S3:
        assert place is not None
        return _Checked(_reading(spec) | _object(spec) | {"connection": place.name})
    if kind == Source.POSTGRES:
        assert place is not None
        return _Checked({"query": _query(spec), "connection": place.name})
    root, name = str(spec.get("root", "")), str(spec.get("folder", "")).strip("/")
    folder.locate(settings.DATA_ROOTS, root, name)
    return _Checked({"root": root, "folder": name})


def _check_url(spec: Mapping[str, Any]) -> _Checked:
    url = spec.get("url")
    http.check_url(url, allow=settings.OUTBOUND_ALLOW)
    parts = urlsplit(str(url))
    if not parts.query:
        return _Checked(_reading(spec) | {"url": str(url)})
    # a signed address carries its secret behind the question mark
    shown = parts._replace(query="").geturl() + "?…"
    return _Checked(_reading(spec) | {"url": shown}, sealed.seal(str(url)))


def _reading(spec: Mapping[str, Any]) -> dict[str, Any]:
    checked = Reading("data", str(spec.get("encoding", "")), str(spec.get("delimiter", ""))).checked()
    found = {"encoding": checked.encoding, "delimiter": checked.delimiter}
    return {key: value for key, value in found.items() if value}


def _object(spec: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, most in (("bucket", 63), ("key", 1_024)):
        value = spec.get(field)
        if not isinstance(value, str) or not value or len(value) > most or not value.isprintable():
            raise Invalid(f"{field} is 1 to {most:,} characters.", field=field, limit=most)
        found[field] = value
    if "/" in found["bucket"] or any(step in (".", "..") for step in found["key"].split("/")):
        raise Invalid("bucket and key name one object.", field="key")
    return found


def _query(spec: Mapping[str, Any]) -> str:
    query = spec.get("query")
    if not isinstance(query, str) or not query.strip() or len(query) > MOST_QUERY or "\x00" in query:
        raise Invalid(f"query is 1 to {MOST_QUERY:,} characters of SQL.", field="query", limit=MOST_QUERY)
    return query.strip().rstrip(";").strip()
