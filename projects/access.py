"""The one door: who the caller is, which project they are in, what they may do there.

Base views refuse to exist without a written permission and load objects only through ``visible_to``,
so an outsider gets 404 and a forgotten check is a start-up error, not a hole.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, TypeVar, cast

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views import View
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from mlportal.lib import moments
from mlportal.lib.api import CursorPages
from mlportal.lib.errors import DomainError, Missing, Unauthenticated
from mlportal.lib.moments import Span
from mlportal.lib.peer import address_of
from projects.actor import Actor
from projects.models import ApiToken, Project, Somewhere, User
from projects.permissions import Permission, Place, Role, allowed, require
from projects.services import credentials, entry, factors, idempotency, refusals, sessions, stepup, things
from projects.services.past import Section, paged
from projects.services.session_store import authenticated_at

M = TypeVar("M", bound=models.Model)


def request_id_of(request: HttpRequest) -> str:
    """Number under which the request is logged."""
    return str(getattr(request, "request_id", "") or request.headers.get("X-Request-ID", ""))[:64]


# All that somebody sees before they replace a password that was given to them.
_OPEN_WITH_GIVEN_PASSWORD = ("/account/password/", "/sign-out/", "/static/", "/account/theme/")
_OPEN_WITHOUT_SECOND_FACTOR = (*_OPEN_WITH_GIVEN_PASSWORD, "/account/second-factor/")


class ActorMiddleware:
    """Sets ``request.actor`` and the time zone for pages; the REST API sets the actor from the token."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Attach the actor, then pass on."""
        place = {"address": address_of(request), "request_id": request_id_of(request)}
        user = None if request.path.startswith("/api/") else request.user
        if user is None or not user.is_authenticated:
            request.actor = Actor.anonymous(**place)
            return _noted(request, self.get_response(request))
        person: User = user
        request.actor = Actor.for_user(
            person, **place, authenticated_at=authenticated_at(request.session),
            session=sessions.name_of(request.session),
        )  # fmt: skip
        if _has_rested(request, person):
            return HttpResponseRedirect(f"{reverse(settings.LOGIN_URL)}?{urlencode({'next': request.path})}")
        if _has_given_password(request, person) and not request.path.startswith(_OPEN_WITH_GIVEN_PASSWORD):
            return HttpResponseRedirect("/account/password/")
        if factors.is_missing(person) and not request.path.startswith(_OPEN_WITHOUT_SECOND_FACTOR):
            return HttpResponseRedirect(reverse("projects:second-factor"))
        with timezone.override(person.time_zone):
            return _noted(request, self.get_response(request))


def _has_given_password(request: HttpRequest, person: User) -> bool:
    """Whether somebody came in with a password that an administrator gave them; the provider's people have another."""
    return person.must_change_password and not str(request.session.get("method", "")).startswith("sso")


def _has_rested(request: HttpRequest, person: User) -> bool:
    """End a session that nobody used for too long; note that one in use is."""
    row = getattr(request.session, "row", None)
    if not sessions.rested_too_long(row, person):
        sessions.seen(row, request.path)
        return False
    sessions.note_idle(request.actor)
    logout(request)
    return True


def _noted(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Put a refusal of somebody who showed a credential into the audit log."""
    error: DomainError | None = getattr(request, "refusal", None)
    tried = request.actor.user is not None or "HTTP_AUTHORIZATION" in request.META
    if error is not None and error.status in (401, 403) and tried:
        place = getattr(request, "project", None)
        refusals.note(request.actor, method=str(request.method), path=request.path, error=error, project=place)
    return response


def shell(request: HttpRequest) -> dict[str, Any]:
    """Template context of the page shell: the project at hand, the caller's projects and rights."""
    actor: Actor | None = getattr(request, "actor", None)
    if actor is None or actor.user is None:
        return {"shell_projects": [], "can": Rights(Actor.anonymous(), None)}
    project = getattr(request, "project", None)
    return {
        "project": project,
        "can": Rights(actor, project, getattr(request, "place", None)),
        "step_up_due": stepup.asks(actor),
        "passwords_on": settings.LOCAL_PASSWORDS,
        "granters": partial(_granters, project),
        "why_link": partial(_why_link, request, project),
        "shell_projects": Project.objects.visible_to(actor).order_by("name")[:50],
    }


def _granters(project: Project | None) -> list[str]:
    """Who can give somebody a role in the project; asked for by the page of a refusal only."""
    if project is None:
        return [str(user) for user in User.objects.filter(is_site_admin=True, is_active=True)[:3]]
    admins = project.memberships.filter(role=Role.ADMIN, valid_to=None, user__is_active=True)
    return [str(member.user) for member in admins.select_related("user")[:3]]


def _why_link(request: HttpRequest, project: Project | None) -> str:
    """Where the page of a refusal leads: the question why, with what was asked if the refusal says it."""
    if project is None:
        return ""
    error = getattr(request, "refusal", None)
    permission = getattr(error, "permission", "")
    on = getattr(error, "on", "") or things.key_of(getattr(request, "place", None))
    asked = urlencode({"permission": str(permission), "on": on}) if permission else ""
    return f"{reverse('projects:access-why', args=[project.slug])}{f'?{asked}' if asked else ''}"


class Rights:
    """``can.dataset_create`` in a template: whether the caller holds that permission here."""

    def __init__(self, actor: Actor, project: Project | None, place: Place | None = None) -> None:
        self._actor, self._project, self._place = actor, project, place

    def __getitem__(self, name: str) -> bool:
        """Look up by the permission's name in lower case."""
        return allowed(self._actor, Permission[name.upper()], self._project, within=self._place)


def _require_declared(view: type, name: str) -> None:
    if getattr(view, name, None) is None:
        raise TypeError(f"{view.__module__}.{view.__name__} must declare {name}")


class _Scoped:
    """Loads the project of the address and objects of the declared model inside it."""

    reads: ClassVar[type[models.Model] | None] = None
    # ``def past(self, span, **kwargs) -> list[Section]``: the same as it was, for ``?as_of=``.
    past: ClassVar[Any] = None
    actor: Actor
    project: Project

    def load_project(self, actor: Actor, slug: str) -> Project:
        """The project, or 404 when the actor may not know that it exists."""
        project = Project.objects.visible_to(actor).filter(slug=slug).first()
        if project is None:
            raise Missing(f"There is no project {slug!r} here, or you are not a member of it.")
        return project

    def rows(self) -> Any:
        """Rows of the declared model that the actor may see: that model's own query set."""
        reads = cast(Any, self.reads)
        return reads.objects.visible_to(self.actor)

    def find(self, rows: QuerySet[M], **where: Any) -> M:
        """One row or a 404 that says what is missing."""
        row = rows.filter(**where).first()
        if row is None:
            raise Missing(f"There is no such {rows.model._meta.verbose_name} here.")
        if isinstance(cast(object, row), Place):
            cast(Any, self).request.place = row  # what ``can`` in templates asks about
        return row


class _Page(_Scoped, LoginRequiredMixin, View):
    """A page, and the same as it was where its view has ``past``."""

    def _show_past(self, request: HttpRequest, span: Span, kwargs: dict[str, Any]) -> HttpResponse:
        asked = {name: request.GET.get(name, "") for name in ("key", "start")}
        sections = paged(cast(Any, self).past(span, **kwargs), **asked)
        values = {
            "sections": sections, "span": span, "now": request.path, "heading": self.past_heading(**kwargs),
            "evidence": self.past_evidence(**kwargs),
        }  # fmt: skip
        return render(request, "past.html", values)

    def past_heading(self, **kwargs: Any) -> str:
        """Return the heading of the page as it was; by default the name in the address, else the project's."""
        return str(kwargs.get("name") or self.project.name)

    def past_evidence(self, **kwargs: Any) -> dict[str, str] | None:
        """Return what the button that exports evidence sends, None without one."""
        del kwargs
        return None


class ProjectView(_Page):
    """A page inside a project. Declare ``reads`` (a model) and ``permission``; ``write_permission`` for POST."""

    permission: ClassVar[Permission | None] = None
    write_permission: ClassVar[Permission | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__dict__.get("abstract", False):
            _require_declared(cls, "reads")
            _require_declared(cls, "permission")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Load the project, check the right, run the method."""
        if not request.user.is_authenticated:
            return self.handle_no_permission()
        self.actor = request.actor
        self.project = self.load_project(self.actor, kwargs.pop("project"))
        request.project = self.project
        reading = request.method in ("GET", "HEAD", "OPTIONS")
        needed = self.permission if reading else self.write_permission or self.permission
        require(self.actor, cast(Permission, needed), self.project, within=Somewhere(self.project))
        if reading and self.past is not None and (span := asked_moment(request)):
            return self._show_past(request, span, kwargs)
        return super().dispatch(request, *args, **kwargs)


def asked_moment(request: HttpRequest) -> Span | None:
    """The moment that ``?as_of=`` names, None when it is empty.

    Raises
    ------
    Invalid
        For what is no date, and for one that is still to come.
    """
    asked = request.GET.get("as_of", "").strip()
    return moments.past(asked, field="as_of", now=timezone.now()) if asked else None


ScopedView = ProjectView


class SiteView(_Page):
    """A page outside projects. Declare ``reads`` (a model) and ``permission``, which is held for the whole site."""

    permission: ClassVar[Permission | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _require_declared(cls, "reads")
        _require_declared(cls, "permission")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Check the right, run the method."""
        if not request.user.is_authenticated:
            return self.handle_no_permission()
        self.actor = request.actor
        require(self.actor, cast(Permission, self.permission), None)
        if request.method in ("GET", "HEAD") and self.past is not None and (span := asked_moment(request)):
            return self._show_past(request, span, kwargs)
        return super().dispatch(request, *args, **kwargs)


class TokenAuthentication(BaseAuthentication):
    """Bearer or Basic token; a browser session is not taken, so no page can be tricked into calling the API."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """The token's owner and the token."""
        plain = request._request
        header = plain.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        found = entry.of_token(
            credentials.secret_of(header), named=_named(plain), address=address_of(plain),
            request_id=request_id_of(plain),
        )  # fmt: skip
        plain.actor, plain.project = found
        return cast(User, found.actor.user), cast(ApiToken, found.actor.token)

    def authenticate_header(self, request: Request) -> str:
        """Makes DRF answer 401, not 403."""
        return 'Bearer realm="mlportal"'


def _named(request: HttpRequest) -> str:
    """Slug of the project in the address."""
    return str(request.resolver_match.kwargs.get("project", "")) if request.resolver_match else ""


class TokenScheme(OpenApiAuthenticationExtension):
    """Documents the token in the OpenAPI schema."""

    target_class = "projects.access.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Bearer token."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "mlp_…"}


class _HoldsPermission(BasePermission):
    """Checks the view's permission for the method in the project of the address."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Refuse without a token (401), outside the project (404) or without the right (403)."""
        scoped = cast("ScopedAPIView", view)
        if not request.user:
            raise Unauthenticated("Send a token: 'Authorization: Bearer mlp_…'.")
        scoped.actor = request._request.actor
        needed = scoped.permissions.get("GET" if request.method in ("HEAD", "OPTIONS") else str(request.method))
        if needed is None:
            return True  # no handler for this method: DRF answers 405
        slug = scoped.kwargs.pop("project", None)
        place = None
        if slug is not None:
            place = request._request.project or scoped.load_project(scoped.actor, slug)
            scoped.project = request._request.project = place
        require(scoped.actor, needed, place, within=Somewhere(place) if place is not None else None)
        return True


def _as_it_was(span: Span, sections: list[Section]) -> Response:
    body: dict[str, Any] = {"as_of": {"from": span.start, "to": span.end}}
    return Response(body | {section.key: section.rows for section in sections})


class ScopedAPIView(_Scoped, APIView):
    """A REST route. Declare ``reads`` (a model) and ``permissions`` ({method: Permission}).

    A POST with ``Idempotency-Key`` has one effect and one answer, unless ``idempotent`` is false.
    """

    authentication_classes: ClassVar[Any] = [TokenAuthentication]
    permission_classes: ClassVar[Any] = [_HoldsPermission]
    permissions: ClassVar[dict[str, Permission]]
    idempotent: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__dict__.get("abstract", False):
            _require_declared(cls, "reads")
            _require_declared(cls, "permissions")
            handled = {name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(cls, name)}
            if forgotten := handled - set(cls.permissions):
                raise TypeError(f"{cls.__name__} declares no permission for {sorted(forgotten)}")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Run the method without the project, which the permission check has loaded."""
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate, check, and wrap a creating call in its idempotency key."""
        super().initial(request, *args, **kwargs)
        if request.method == "GET" and self.past is not None and (span := asked_moment(request._request)):
            vars(self)["get"] = lambda *_, **k: _as_it_was(span, cast(Any, self).past(span, **k))
        key = request.headers.get("Idempotency-Key", "")
        if key and request.method == "POST" and self.idempotent:
            handler = self.post
            self.post = lambda *a, **k: self._once(key, request, lambda: handler(*a, **k))

    def _once(self, key: str, request: Request, effect: Callable[[], Response]) -> Response:
        def run() -> tuple[int, Any]:
            answer = effect()
            return answer.status_code, answer.data

        body = hashlib.sha256(repr(request.data).encode("utf-8", "surrogatepass")).hexdigest()
        status, data = idempotency.once(
            cast(User, self.actor.user), key, method_path=f"POST {request.path}", body_sha256=body, effect=run
        )
        return Response(data, status=status)

    def page(
        self,
        rows: QuerySet[Any],
        serializer: type[BaseSerializer[Any]],
        *,
        ordering: str | tuple[str, ...] = "-id",
        context: dict[str, Any] | None = None,
    ) -> Response:
        """One cursor page of rows, newest first unless ``ordering`` says otherwise."""
        pages = CursorPages()
        pages.ordering = ordering
        found = pages.paginate_queryset(rows, self.request, view=self)
        return pages.get_paginated_response(serializer(found, many=True, context=context or {}).data)
