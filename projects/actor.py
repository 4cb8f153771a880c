"""Who acts: a person in the browser, a token, or a part of the portal with written rights."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Self

from projects.permissions import (
    FOLDER_RIGHTS,
    GRANTS,
    INSIDE_ONE_PROJECT,
    SCOPES,
    SIGNED_IN,
    SITE_ADMIN_GRANTS,
    Permission,
    Place,
    Role,
)

if TYPE_CHECKING:
    from projects.models import ApiToken, Project, User


@dataclass(frozen=True)
class Actor:
    """The one who calls a service. Make one with a class method; a bare one may do nothing.

    Parameters
    ----------
    kind : str
        ``"user"``, ``"token"``, ``"system"`` or ``"anonymous"``.
    name : str
        What the audit log shows.
    user : User or None
        The person; for a system actor the person on whose behalf it works.
    token : ApiToken or None
        The credential, when it was one.
    grants : frozenset of Permission
        Rights of a system actor, in ``project_id`` only.
    address, request_id : str
        Where the call came from and under which number it is logged.
    authenticated_at : datetime or None
        When the person last proved who they are: at sign-in, or when a page asked again.
    session : str
        Public name of the browser session.
    """

    kind: str
    name: str
    user: "User | None" = None
    token: "ApiToken | None" = None
    project_id: int | None = None
    grants: frozenset[Permission] = frozenset()
    address: str = ""
    request_id: str = ""
    authenticated_at: datetime | None = None
    session: str = ""
    _memory: dict[int, frozenset[Permission]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def anonymous(cls, *, address: str = "", request_id: str = "") -> Self:
        """Nobody: holds no permission anywhere."""
        return cls(kind="anonymous", name="anonymous", address=address, request_id=request_id)

    @classmethod
    def for_user(
        cls,
        user: "User",
        *,
        address: str = "",
        request_id: str = "",
        authenticated_at: datetime | None = None,
        session: str = "",
    ) -> Self:
        """A signed-in person with the rights of their roles."""
        return cls(
            kind="user", name=user.username, user=user, address=address, request_id=request_id,
            authenticated_at=authenticated_at, session=session,
        )  # fmt: skip

    @classmethod
    def for_token(cls, token: "ApiToken", *, address: str = "", request_id: str = "") -> Self:
        """A token: its owner's rights cut down to its scopes and its project."""
        return cls(
            kind="token", name=f"{token.user.username} ({token.name})", user=token.user, token=token,
            address=address, request_id=request_id,
        )  # fmt: skip

    @classmethod
    def system(
        cls,
        name: str,
        *,
        project: "Project | None" = None,
        grants: frozenset[Permission] | set[Permission] = frozenset(),
        on_behalf_of: "User | None" = None,
    ) -> Self:
        """A part of the portal (worker, sweeper) with exactly the rights that are named."""
        return cls(
            kind="system", name=name, user=on_behalf_of, project_id=project.pk if project else None,
            grants=frozenset(grants),
        )  # fmt: skip

    @property
    def is_bound(self) -> bool:
        """Whether the actor works inside one project only: a token bound to it."""
        return self.token is not None and self.token.project_id is not None

    def forget(self) -> None:
        """Read roles again at the next question."""
        self._memory.clear()

    def scope_permissions(self) -> frozenset[Permission]:
        """Rights the token's scopes allow at most; everything without a token."""
        if self.token is None:
            return frozenset(Permission)
        return frozenset().union(*(SCOPES.get(scope, frozenset()) for scope in self.token.scopes))

    def remember_roles(self, project: "Project", roles: list[str]) -> None:
        """Take the roles the caller has just read together with the credential, instead of reading them again."""
        self._memory[project.pk] = self._rights(project, roles)

    def permissions_in(self, project: "Project | None") -> frozenset[Permission]:
        """Rights in one project (``None``: for the whole site); read once a request."""
        place = project.pk if project is not None else 0
        if place not in self._memory:
            self._memory[place] = self._read(project)
        return self._memory[place]

    def permissions_at(self, place: Place) -> frozenset[Permission]:
        """Rights that roles on the folders around a thing add there; roles of a project are not among them."""
        if self.user is None or not self.user.is_active or self.kind == "system":
            return frozenset()
        held = frozenset().union(*(GRANTS[Role(role)] for role in place.roles_here(self.user)))
        return held & FOLDER_RIGHTS & self.scope_permissions()

    def _read(self, project: "Project | None") -> frozenset[Permission]:
        if self.kind == "system":
            here = project is not None and project.pk == self.project_id
            return self.grants if here or (project is None and self.project_id is None) else frozenset()
        return self._rights(project, None)

    def _rights(self, project: "Project | None", roles: list[str] | None) -> frozenset[Permission]:
        if self.user is None or not self.user.is_active:
            return frozenset()
        bound = self.is_bound
        if bound and project is not None and project.pk != self.token.project_id:  # type: ignore[union-attr]
            return frozenset()
        held = frozenset[Permission]()
        if project is None:
            held = INSIDE_ONE_PROJECT if bound else SIGNED_IN
        if self.user.is_site_admin and not (bound and project is None):
            held |= SITE_ADMIN_GRANTS
        if project is not None:
            for role in project.roles_of(self.user) if roles is None else roles:
                held |= GRANTS[Role(role)]
        return held & self.scope_permissions()
