"""Hand one's right to decide to somebody else, from the inbox, and read the inbox over the API."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.dateparse import parse_date
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.models import Delegation
from deployments.services import delegations
from mlportal.lib.errors import DomainError, Invalid, Missing
from mlportal.views import waiting
from mlportal.views.waiting_items import Item, holding
from projects.access import ScopedAPIView, SiteView
from projects.actor import Actor
from projects.models import Membership, Project
from projects.permissions import Permission

SHOWN = 50
USUAL_DAYS = 14


@dataclass(frozen=True)
class Choice:
    """One person in one project that the right can be handed to."""

    value: str
    person: str
    project: str


def context(actor: Actor) -> dict[str, Any]:
    """What the inbox prints about delegations: those of the person, and whom they can be handed to; two queries."""
    rows = Delegation.objects.active(timezone.now()).filter(Q(giver=actor.user) | Q(taker=actor.user))
    return {
        "handed": rows.filter(project__in=Project.objects.visible_to(actor)).with_people().order_by("until")[:SHOWN],
        "takers": _takers(actor),
        "usual_until": (timezone.now() + timedelta(days=USUAL_DAYS)).date(),
    }


class DelegationGive(SiteView):
    """Hand the right to decide to a member of one project."""

    reads = Delegation
    permission = Permission.ACCOUNT_EDIT

    def post(self, request: HttpRequest) -> HttpResponse:
        slug, _, taker = request.POST.get("taker", "").partition("/")
        project = Project.objects.visible_to(self.actor).filter(slug=slug).first()
        if project is None:
            raise Missing("There is no such project here.", field="taker")
        try:
            made = delegations.give(
                self.actor, project=project, taker=taker, until=_end_of(request.POST.get("until", "")),
                reason=request.POST.get("reason", ""),
            )  # fmt: skip
        except DomainError as error:
            if error.status == 403:
                raise
            messages.error(request, f"Nothing was handed over. {error.message}")
        else:
            messages.success(request, f"{made.taker} may decide for you in {project.name} now.")
        return HttpResponseRedirect("/inbox/#handed-h", status=303)


class DelegationRevoke(SiteView):
    """Take a delegation back."""

    reads = Delegation
    permission = Permission.ACCOUNT_EDIT

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        found: Delegation = self.find(self.rows().with_people(), pk=number)
        try:
            delegations.revoke(self.actor, delegation=found)
        except DomainError as error:
            if error.status == 403:
                raise
            messages.error(request, error.message)
        else:
            messages.success(request, f"{found.taker} does not decide for you any more.")
        return HttpResponseRedirect("/inbox/#handed-h", status=303)


class WaitingSerializer(serializers.Serializer[Any]):
    """One thing that waits."""

    state = serializers.CharField()
    label = serializers.CharField()
    title = serializers.CharField()
    detail = serializers.CharField()
    page = serializers.CharField(source="href")
    action = serializers.CharField()
    project = serializers.CharField(source="project.slug")
    at = serializers.DateTimeField()
    kind = serializers.ChoiceField(choices=waiting.KINDS)
    call = serializers.SerializerMethodField(help_text="REST address where one acts on it, or reads it.")
    risk_class = serializers.CharField(help_text="Of the model it is about; empty where it is about none.")
    ends_at = serializers.DateTimeField(allow_null=True, help_text="When it ends by itself.")

    def get_call(self, item: Item) -> str:
        """Return the address below that of the project, or that of one's own requests."""
        return f"/api/v1/projects/{item.project.slug}/{item.call}" if item.call else "/api/v1/access-requests/"


class WaitingForMe(ScopedAPIView):
    """The caller's inbox."""

    reads = Project
    permissions: ClassVar = {"GET": Permission.ACCOUNT_VIEW}

    @extend_schema(operation_id="inbox_read", tags=["account"], responses=WaitingSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List what waits for the token's owner, worst first and at most 100 of a kind.

        A token of one project lists that project.
        """
        del request
        bound = self.actor.token.project if self.actor.token else None
        return Response(WaitingSerializer(waiting.for_person(self.actor, bound), many=True).data)


def _takers(actor: Actor) -> list[Choice]:
    rows = Membership.objects.open().filter(
        project__in=holding(actor, Permission.PROMOTION_SIGN), role__in=delegations.ELIGIBLE, user__is_active=True,
    ).exclude(user=actor.user)  # fmt: skip
    rows = rows.select_related("user", "project").order_by("project__name", "user__username")
    found = {
        f"{row.project.slug}/{row.user.username}": Choice(
            f"{row.project.slug}/{row.user.username}", str(row.user), row.project.name
        )
        for row in rows
    }
    return list(found.values())


def _end_of(text: str) -> datetime:
    """Return the end of a day, in UTC."""
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    if day is None:
        raise Invalid("until must be a date, as 2027-03-01.", field="until", got=text[:50])
    return datetime.combine(day, time(23, 59, 59), UTC)
