"""The audit log of a project and of the site."""

from datetime import UTC, date, datetime, time, timedelta
from typing import cast

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render

from projects.access import ProjectView, SiteView
from projects.forms import people
from projects.models import Event, Project
from projects.permissions import Permission
from projects.services import audit

PAGE = 100


def chosen(form: people.AuditFilter) -> audit.Filter:
    """The filter of a form; fields that were refused do not narrow."""
    form.is_valid()
    values = form.cleaned_data
    until = values.get("until")
    return audit.Filter(
        actor=values.get("actor") or "", verb=values.get("verb") or "", target=values.get("target") or "",
        since=_midnight(values.get("since")), until=_midnight(until + timedelta(days=1)) if until else None,
    )  # fmt: skip


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, tzinfo=UTC) if day else None


def _page(view: ProjectView | SiteView, request: HttpRequest, project: Project | None) -> HttpResponse:
    form = people.AuditFilter(request.GET)
    rows = cast("QuerySet[Event]", view.rows()).select_related("project")
    rows = chosen(form).apply(rows.filter(project=project) if project else rows)
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit():
        rows = rows.filter(seq__lt=int(before[:18]))
    found = list(rows.order_by("-seq")[: PAGE + 1])
    values = {
        "form": form, "events": found[:PAGE], "scope": project,
        "older": found[PAGE - 1].seq if len(found) > PAGE else None, "paged": bool(before),
    }  # fmt: skip
    return render(request, "projects/audit.html", values, status=422 if form.errors else 200)


def _export(view: ProjectView | SiteView, request: HttpRequest, project: Project | None) -> StreamingHttpResponse:
    lines = audit.export(view.actor, project=project, chosen=chosen(people.AuditFilter(request.POST)))
    response = StreamingHttpResponse(lines, content_type="application/zip")
    name = f"audit-{project.slug if project else 'site'}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


class AuditList(ProjectView):
    """What happened in a project."""

    reads = Event
    permission = Permission.AUDIT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        return _page(self, request, self.project)


class AuditExport(ProjectView):
    """The same as JSON Lines; the export is an entry itself, so it is a POST."""

    reads = Event
    permission = Permission.AUDIT_VIEW

    def post(self, request: HttpRequest) -> StreamingHttpResponse:
        return _export(self, request, self.project)


class SiteAudit(SiteView):
    """What happened on the whole site, sign-ins included."""

    reads = Event
    permission = Permission.AUDIT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        return _page(self, request, None)


class SiteAuditExport(SiteView):
    """The whole log as JSON Lines."""

    reads = Event
    permission = Permission.AUDIT_VIEW

    def post(self, request: HttpRequest) -> StreamingHttpResponse:
        return _export(self, request, None)
