"""Errors a person can act on. One kind an HTTP status; engines raise them, each door shapes them once."""

from typing import Any, ClassVar


class DomainError(Exception):
    """Anticipated trouble.

    Parameters
    ----------
    message : str
        One or two plain sentences: what is wrong, where, what is allowed.
    code : str
        Stable machine word, by default the kind's own.
    field : str
        Name of the input at fault, with dots for nested ones.
    limit, got : Any
        The bound and the value that crossed it, JSON-able.
    errors : list of dict
        Several faults at once, each ``{"field", "message"}``.
    retry_after : int
        Seconds after which trying again makes sense.
    """

    status: ClassVar[int] = 400
    kind: ClassVar[str] = "invalid"
    title: ClassVar[str] = "The request is not valid"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        field: str = "",
        limit: Any = None,
        got: Any = None,
        errors: list[dict[str, str]] | None = None,
        retry_after: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.kind
        self.field = field
        self.limit = limit
        self.got = got
        self.errors = errors or []
        self.retry_after = retry_after

    def as_dict(self) -> dict[str, Any]:
        """Problem members of this error, empty ones left out."""
        members: dict[str, Any] = {
            "type": f"urn:mlportal:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "message": self.message,
            "detail": self.message,
        }
        if self.field:
            members["field"] = self.field
        if self.limit is not None:
            members["limit"] = self.limit
        if self.got is not None:
            members["got"] = self.got
        if self.errors:
            members["errors"] = self.errors
        return members


class Invalid(DomainError):
    """400: the input breaks a rule that does not depend on state."""


class Unauthenticated(DomainError):
    """401: no valid credential."""

    status = 401
    kind = "unauthenticated"
    title = "Sign in or send a token"


class Forbidden(DomainError):
    """403: the actor may see the object but not do this."""

    status = 403
    kind = "forbidden"
    title = "Your role does not allow this"
    # What was asked, so that a page and a program can ask why: the permission, and the thing as ``kind:name``.
    permission: str = ""
    on: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Problem members with what was asked."""
        asked = {"permission": str(self.permission), "on": self.on} if self.permission else {}
        return super().as_dict() | asked


class Missing(DomainError):
    """404: absent, or not visible to the actor."""

    status = 404
    kind = "not_found"
    title = "Not found"


class Conflict(DomainError):
    """409: the state of the object does not allow this now."""

    status = 409
    kind = "conflict"
    title = "The state does not allow this"


class TooLarge(DomainError):
    """413: over a size limit."""

    status = 413
    kind = "too_large"
    title = "Too large"


class UnsupportedType(DomainError):
    """415: a kind of content that is not taken."""

    status = 415
    kind = "unsupported_type"
    title = "This kind of content is not taken"


class Unprocessable(DomainError):
    """422: well formed, but the content cannot be worked with."""

    status = 422
    kind = "unprocessable"
    title = "The content cannot be used"


class TooMany(DomainError):
    """429: slow down."""

    status = 429
    kind = "too_many_requests"
    title = "Too many requests"


class Unavailable(DomainError):
    """503: a part we depend on is away."""

    status = 503
    kind = "unavailable"
    title = "A part of the portal is away"


class StorageFull(DomainError):
    """507: the disk is full."""

    status = 507
    kind = "storage_full"
    title = "Storage is full"
