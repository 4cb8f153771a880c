"""The queries of serving and the plain rows they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployments.serve.database import Source, from_json, from_time
from projects.permissions import GRANTS, SCOPES, SITE_ADMIN_GRANTS, Permission, Role

_ENDPOINTS = """
SELECT e.id, p.id, p.slug, e.name, e.enabled, e.log_mode, e.on_log_failure, e.logging, e.sample_share,
    e.masked_columns, e.requests_per_minute, e.caller_requests_per_minute, r.id, r.number, v.id, v.number, m.name,
    r.routes, r.salt, r.score_edges
FROM deployments_endpoint e
JOIN projects_project p ON p.id = e.project_id
LEFT JOIN deployments_endpointrevision r ON r.id = e.current_revision_id
LEFT JOIN deployments_modelversion v ON v.id = r.version_id
LEFT JOIN deployments_registeredmodel m ON m.id = v.model_id
WHERE p.archived_at IS NULL
"""
_VERSION = """
SELECT v.manifest, v.signature, v.state, c.graph_sha256 FROM deployments_modelversion v
LEFT JOIN deployments_conversion c ON c.version_id = v.id AND c.passed AND c.state = 'succeeded'
WHERE v.id = %s
"""
_CONVERTED = """
SELECT version_id FROM deployments_conversion WHERE passed AND state = 'succeeded' AND version_id IN ({places})
"""
_MASKED, _ROUTES = 9, 17  # places of masked_columns and of the routes in the row of an endpoint
_TOKEN = """
SELECT t.id, t.user_id, t.project_id, t.scopes, t.expires_at, u.is_site_admin
FROM projects_apitoken t JOIN projects_user u ON u.id = t.user_id
WHERE t.sha256 = %s AND t.revoked_at IS NULL AND u.is_active
"""
_ROLES = """
SELECT m.project_id, m.role FROM projects_membership m JOIN projects_project p ON p.id = m.project_id
WHERE m.user_id = %s AND m.valid_to IS NULL AND p.archived_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Way:
    """One route of a revision: a variant, the version that answers it, and its share."""

    variant: str
    version_id: int
    version: int
    weight: float
    mode: str


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint and the revision it should answer with."""

    id: int
    project_id: int
    project: str
    name: str
    enabled: bool
    log_mode: str
    on_log_failure: str
    logging: str
    sample_share: float
    masked_columns: tuple[str, ...]
    requests_per_minute: int
    caller_requests_per_minute: int
    revision_id: int | None
    revision: int | None
    version_id: int | None
    version: int | None
    model: str | None
    ways: tuple[Way, ...] = ()
    salt: str = ""
    score_edges: tuple[float, ...] = ()

    @property
    def versions(self) -> set[int]:
        """Ids of every version that answers or listens here."""
        own = {self.version_id} if self.version_id is not None else set()
        return own | {way.version_id for way in self.ways}

    @property
    def log_settings(self) -> tuple[object, ...]:
        """What the log does; a change of it needs a new header in the log."""
        return self.log_mode, self.on_log_failure, self.logging, self.sample_share, self.masked_columns


@dataclass(frozen=True, slots=True)
class VersionRow:
    """What is needed to load a version."""

    manifest: list[dict[str, Any]]
    signature: dict[str, Any]
    state: str
    graph_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token may do here.

    Parameters
    ----------
    token_id : int
    expires_at : float
        Seconds since 1970.
    projects : dict of int to bool
        Projects its owner belongs to (and it is bound to), and whether it may predict there.
    sees_all : bool
        Whether every project exists for it (site administrators).
    steers : frozenset of int
        Projects where it may also deploy, and so choose the variant that answers.
    bound_to : int or None
        The project that the token speaks for where an address names none.
    """

    token_id: int
    expires_at: float
    projects: dict[int, bool]
    sees_all: bool = False
    bound_to: int | None = None
    steers: frozenset[int] = frozenset()


def endpoints(source: Source) -> list[EndpointRow]:
    """All endpoints of living projects."""
    return [_endpoint(row) for row in source.query(_ENDPOINTS)]


def _endpoint(row: tuple[Any, ...]) -> EndpointRow:
    values = list(row)
    values[_MASKED] = tuple(from_json(values[_MASKED]))
    routes, salt, edges = values[_ROUTES:]
    ways = tuple(Way(**route) for route in from_json(routes)) if routes else ()
    values[_ROUTES:] = [ways, salt or "", tuple(from_json(edges)) if edges else ()]
    return EndpointRow(*values)


def version(source: Source, version_id: int) -> VersionRow | None:
    """Manifest and signature of a version."""
    rows = source.query(_VERSION, (version_id,))
    if not rows:
        return None
    manifest, signature, state, graph = rows[0]
    return VersionRow(from_json(manifest), from_json(signature), state, graph)


def converted(source: Source, version_ids: set[int]) -> set[int]:
    """Those versions whose estimator is there as ONNX and passed the parity gate."""
    if not version_ids:
        return set()
    asked = _CONVERTED.format(places=", ".join(["%s"] * len(version_ids)))
    return {row[0] for row in source.query(asked, sorted(version_ids))}


def grant(source: Source, sha256: str) -> Grant | None:
    """Rights of a live token of an active person, by roles now; None when there is none."""
    rows = source.query(_TOKEN, (sha256,))
    if not rows:
        return None
    token_id, user_id, bound_to, scopes, expires_at, site_admin = rows[0]
    scoped = frozenset[Permission]().union(*(SCOPES.get(scope, frozenset()) for scope in from_json(scopes)))
    projects: dict[int, bool] = {}
    steers: set[int] = set()
    for project_id, role in source.query(_ROLES, (user_id,)):
        if bound_to in (None, project_id):
            held = (GRANTS[Role(role)] | (SITE_ADMIN_GRANTS if site_admin else frozenset())) & scoped
            projects[project_id] = projects.get(project_id, False) or Permission.ENDPOINT_PREDICT in held
            if Permission.ENDPOINT_DEPLOY in held:
                steers.add(project_id)
    sees_all = bool(site_admin) and bound_to is None
    return Grant(token_id, from_time(expires_at), projects, sees_all, bound_to, frozenset(steers))
