"""The audit log of a project and of the site, and its anchors."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from projects.access import ProjectView, SiteView
from projects.forms import people
from projects.models import Anchor, Event, Project, User
from projects.permissions import Permission, allowed
from projects.services import anchors, audit
from projects.views import event_links
from projects.views.accounts import see_other

PAGE, ANCHORS = 100, 10


def chosen(form: people.AuditFilter) -> audit.Filter:
    """The filter of a form; fields that were refused do not narrow."""
    form.is_valid()
    return audit.Filter(**{name: value for name, value in form.cleaned_data.items() if value})


def _page(view: ProjectView | SiteView, request: HttpRequest, project: Project | None) -> HttpResponse:
    form = people.AuditFilter(request.GET)
    if project is not None:
        del form.fields["project"]
    rows = audit.find(view.actor, project=project, chosen=chosen(form))
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit():
        rows = rows.filter(seq__lt=int(before[:18]))
    found = list(rows.order_by("-seq")[: PAGE + 1])
    behalf = User.objects.in_bulk({event.on_behalf_of for event in found if event.on_behalf_of})
    values: dict[str, Any] = {
        "form": form, "scope": project,
        "lines": [(event, event_links.address(event), behalf.get(event.on_behalf_of or 0)) for event in found[:PAGE]],
        "older": found[PAGE - 1].seq if len(found) > PAGE else None, "paged": bool(before),
        "anchored": Anchor.objects.order_by("-number").first(), "filtered": form.is_valid() and chosen(form).words(),
    }  # fmt: skip
    if project is None and allowed(view.actor, Permission.SITE_ADMIN, None):
        values["anchors"] = Anchor.objects.order_by("-number").prefetch_related("copies")[:ANCHORS]
    return render(request, "projects/audit.html", values, status=422 if form.errors else 200)


def _export(view: ProjectView | SiteView, request: HttpRequest, project: Project | None) -> HttpResponseBase:
    form = people.AuditFilter(request.POST)
    if not form.is_valid():
        return _page(view, request, project)
    parts = audit.export(view.actor, project=project, chosen=chosen(form))
    return download(parts, project)


def download(parts: Any, project: Project | None) -> StreamingHttpResponse:
    """Answer with an export as a file named for its scope and day."""
    response = StreamingHttpResponse(parts, content_type="application/zip")
    name = f"audit-{project.slug if project else 'site'}-{timezone.now():%Y-%m-%d}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


class AuditList(ProjectView):
    """What happened in a project."""

    reads = Event
    permission = Permission.AUDIT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        return _page(self, request, self.project)


class AuditExport(ProjectView):
    """The same as JSON Lines with a manifest and a signature; the export is an entry itself, so it is a POST."""

    reads = Event
    permission = Permission.AUDIT_VIEW

    def post(self, request: HttpRequest) -> HttpResponseBase:
        return _export(self, request, self.project)


class SiteAudit(SiteView):
    """What happened on the whole site, sign-ins included."""

    reads = Event
    permission = Permission.AUDIT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        return _page(self, request, None)


class SiteAuditExport(SiteView):
    """The whole log as JSON Lines with a manifest and a signature."""

    reads = Event
    permission = Permission.AUDIT_VIEW

    def post(self, request: HttpRequest) -> HttpResponseBase:
        return _export(self, request, None)


class SiteAnchor(SiteView):
    """Anchor the log now."""

    reads = Anchor
    permission = Permission.SITE_ADMIN

    def post(self, request: HttpRequest) -> HttpResponse:
        made = anchors.make(self.actor)
        messages.success(
            request, f"Anchor {made.number} stands at entry {made.seq}." if made else "Nothing is new since the last."
        )
        return see_other(reverse("projects:site-audit"))
