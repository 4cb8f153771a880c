"""Home, inbox, and the counts of the shell."""

from typing import cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from experiments.models import TrainingJob
from mlportal.views import example, handover, waiting
from monitoring.models import Alert
from projects.access import SiteView
from projects.models import Project
from projects.models.projects import ProjectQuerySet
from projects.permissions import Permission
from projects.services import stars

SHOWN = 12


class Home(SiteView):
    """What waits for me, and my projects."""

    reads = Project
    permission = Permission.ACCOUNT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        mine = cast("ProjectQuerySet", self.rows())
        listed = mine.with_activity().order_by("-last_event_at")
        items = waiting.for_person(self.actor)
        values = {"items": items[:SHOWN], "item_count": len(items), "projects": listed[:SHOWN]}
        values["starred"] = stars.listed(self.actor, limit=SHOWN)
        if self.actor.user is not None and self.actor.user.is_site_admin:
            values.update(example.context())
        return render(request, "home.html", values)


class Inbox(SiteView):
    """Everything that waits for me, in all projects."""

    reads = Project
    permission = Permission.ACCOUNT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        items = waiting.for_person(self.actor)
        values = {"items": items, "item_count": len(items), "cut": waiting.is_cut(items)}
        values.update(handover.context(self.actor))
        return render(request, "inbox.html", values)


class ShellBadges(SiteView):
    """Counts beside the links of the side bar, asked for by every page after it is drawn."""

    reads = Project
    permission = Permission.ACCOUNT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        slug = request.GET.get("project", "")[:50]
        project = cast("ProjectQuerySet", self.rows()).filter(slug=slug).first() if slug else None
        values = {"inbox": waiting.count(self.actor), "jobs": 0, "alerts": 0, "shell_project": project}
        if project is not None:
            values["jobs"] = TrainingJob.objects.in_project(project).active().count()
            values["alerts"] = Alert.objects.in_project(project).shown().count()
        return render(request, "_badges.html", values)
