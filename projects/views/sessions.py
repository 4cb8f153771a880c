"""One's own sessions: the list, and ending them."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from projects.access import SiteView
from projects.models import Session
from projects.permissions import Permission
from projects.services import devices, sessions
from projects.views.accounts import see_other

SHOWN = 100


@method_decorator(never_cache, name="dispatch")
class SessionList(SiteView):
    """Where the person is signed in."""

    reads = Session
    permission = Permission.ACCOUNT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        rows = list(self.rows().order_by("-seen_at", "-started_at")[:SHOWN])
        shown = [(row, devices.words(row.agent), row.handle == self.actor.session) for row in rows]
        return render(request, "projects/sessions.html", {"sessions": shown, "others": len(rows) > 1})


class SessionEnd(SiteView):
    """End one session, or with the word ``others`` all but this one."""

    reads = Session
    permission = Permission.SESSION_END

    def post(self, request: HttpRequest, handle: str) -> HttpResponse:
        if handle == "others":
            gone = sessions.end_others(self.actor)
            messages.success(request, f"{gone} other session{'s' if gone != 1 else ''} ended.")
        else:
            sessions.end(self.actor, handle=handle)
            messages.success(request, "The session has ended.")
        return see_other(reverse("projects:session-list"))
