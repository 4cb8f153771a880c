"""Who asks: a token of the portal, or a pass of the web process."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable

from deployments.runtime import passes
from deployments.serve import tables
from deployments.serve.follower import Follower
from deployments.serve.live import Route
from deployments.serve.tables import Grant
from mlportal.lib.errors import Forbidden, Invalid, Missing, Unauthenticated

PREFIX = "mlp_"
MAX_HEADER = 1024
REMEMBER_SECONDS = 30.0
REMEMBER_TOKENS = 10_000
_CREDENTIAL = re.compile(r"Credential=([A-Za-z0-9_-]{1,200})/")
_REFUSED = "Send 'Authorization: Bearer mlp_…' with a token that is known, not expired, not revoked."


class Door:
    """Checks credentials; remembers tokens for 30 seconds.

    Parameters
    ----------
    follower : Follower
        Runs the token query on its connection.
    pass_key : bytes
        Checks passes of the web process.
    clock, wall : callable
        Monotonic seconds, and seconds since 1970.
    """

    def __init__(
        self,
        follower: Follower,
        pass_key: bytes,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._follower = follower
        self._pass_key = pass_key
        self._clock = clock
        self._wall = wall
        self._known: OrderedDict[str, tuple[float, Grant]] = OrderedDict()

    async def enter(self, header: str, project: str, endpoint: str) -> tuple[Route, int]:
        """Let a caller through to an endpoint; returns its route and the id of the token, 0 for none.

        Parameters
        ----------
        header : str
            The ``Authorization`` header.
        project : str
            As the address names it; empty for the one that the token is bound to.
        endpoint : str
            Its name; empty for the only one of the project.

        Raises
        ------
        Unauthenticated
            Without a valid credential.
        Missing
            When the caller may not see the project, or it has no such endpoint.
        Forbidden
            When the caller sees the project but may not predict there.
        """
        secret = _secret(header)
        if secret.startswith(passes.PREFIX):
            return self._by_pass(secret, project, endpoint)
        grant = await self._grant(secret)
        project = project or self._own(grant)
        return self._route(grant, project, endpoint or self._only(grant, project)), grant.token_id

    async def may_steer(self, header: str, route: Route) -> bool:
        """Whether a caller that was let in may choose the variant that answers."""
        secret = _secret(header)
        if secret.startswith(passes.PREFIX):
            return False
        return route.row.project_id in (await self._grant(secret)).steers

    async def seen(self, header: str, project: str) -> list[Route]:
        """Routes of the project that the caller may ask, by name."""
        grant = await self._grant(_secret(header))
        project = project or self._own(grant)
        self._check(grant, project)
        routes = [route for (slug, _), route in self._follower.routes.items() if slug == project]
        return sorted(routes, key=lambda route: route.row.name)

    def _own(self, grant: Grant) -> str:
        if grant.bound_to is None:
            raise Invalid(
                "Which project? Put /p/<project> before the path, or send a token that is bound to one.",
                code="project_missing",
                field="project",
            )
        return self._follower.slugs.get(grant.bound_to, "")

    def _only(self, grant: Grant, project: str) -> str:
        self._check(grant, project)
        names = sorted(name for slug, name in self._follower.routes if slug == project)
        if len(names) == 1:
            return names[0]
        raise Invalid(
            f"Which endpoint? This project has {len(names)}: ask /endpoints/<name>/invocations.",
            code="endpoint_unnamed",
            field="endpoint",
            limit=names[:50],
        )

    def _by_pass(self, secret: str, project: str, endpoint: str) -> tuple[Route, int]:
        found = passes.read(self._pass_key, secret, now=self._wall())
        if found is None:
            raise Unauthenticated(_REFUSED)
        route = self._follower.routes.get((project, endpoint))
        if route is None or (route.row.project_id, route.row.id) != (found.project_id, found.endpoint_id):
            raise _missing(endpoint)
        return route, found.token_id

    def _route(self, grant: Grant, project: str, endpoint: str) -> Route:
        self._check(grant, project)
        route = self._follower.routes.get((project, endpoint))
        if route is None:
            raise _missing(endpoint)
        return route

    def _check(self, grant: Grant, project: str) -> None:
        project_id = self._follower.project_ids.get(project)
        if project_id is None and project == "":
            project_id = grant.bound_to  # a living project without an endpoint
        may = grant.projects.get(project_id) if project_id is not None else None
        if may is None and not grant.sees_all:
            raise Missing(f"There is no project {project[:100]!r}, or you do not belong to it.")
        if not may and project_id is not None:
            raise Forbidden("Predicting needs the scope 'predict' and a role that may predict.", field="scope")

    async def _grant(self, secret: str) -> Grant:
        digest = hashlib.sha256(secret.encode()).hexdigest()
        known = self._known.get(digest)
        if known is None or known[0] <= self._clock():
            grant = await asyncio.wrap_future(self._follower.ask(lambda source: tables.grant(source, digest)))
            if grant is None:
                self._known.pop(digest, None)
                raise Unauthenticated(_REFUSED)
            known = self._remember(digest, grant)
        if known[1].expires_at <= self._wall():
            raise Unauthenticated(_REFUSED)
        return known[1]

    def _remember(self, digest: str, grant: Grant) -> tuple[float, Grant]:
        known = (self._clock() + REMEMBER_SECONDS, grant)
        self._known[digest] = known
        self._known.move_to_end(digest)
        if len(self._known) > REMEMBER_TOKENS:
            self._known.popitem(last=False)
        return known


def _missing(endpoint: str) -> Missing:
    return Missing(f"This project has no endpoint {endpoint[:100]!r}.", code="endpoint_missing")


def _secret(header: str) -> str:
    scheme, _, rest = header.partition(" ")
    rest = rest.strip()
    if not rest or len(header) > MAX_HEADER or not header.isascii():
        raise Unauthenticated(_REFUSED)
    if scheme.lower() == "basic":
        rest = _password(rest)
    elif scheme == "AWS4-HMAC-SHA256":
        rest = _access_key(rest)
    elif scheme.lower() != "bearer":
        raise Unauthenticated(_REFUSED)
    if not rest.startswith((PREFIX, passes.PREFIX)):
        raise Unauthenticated(_REFUSED)
    return rest


def _access_key(rest: str) -> str:
    """Access key id of a request signed by boto3: the token stands there. The signature proves nothing to us."""
    found = _CREDENTIAL.search(rest)
    return found.group(1) if found else ""


def _password(encoded: str) -> str:
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthenticated(_REFUSED) from None
    return password or name
