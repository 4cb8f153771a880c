"""Pages of deployments: the list, one endpoint, and what ops does there."""

import json
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from deployments import queries
from deployments.forms import AutomationForm, EndpointForm
from deployments.models import Automation, Endpoint, EndpointRevision, ModelVersion, RetrainTrigger, RollbackReview
from deployments.runtime import example
from deployments.services import asking, automations, endpoints, looks, past
from deployments.views import dividing
from deployments.views.answers import see
from deployments.views.past import evidence_of
from deployments.views.typed import whole
from mlportal.lib import names
from mlportal.lib.errors import DomainError, Missing
from mlportal.lib.moments import Span
from projects.access import ProjectView
from projects.models import Event
from projects.permissions import Permission
from projects.services.past import Section

HOURS = 24
HISTORY = 20
TRIGGERS = 8


def address(endpoint: Endpoint) -> str:
    """Return the address of an endpoint's page."""
    return reverse("deployments:endpoint-detail", args=[endpoint.project.slug, endpoint.name])


class EndpointList(ProjectView):
    """The project's endpoints with what answers there."""

    reads = Endpoint
    permission = Permission.ENDPOINT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        rows = self.rows().in_project(self.project).with_live().order_by("-environment__position", "name_key")
        counts = queries.request_counts(self.project, since=timezone.now() - timedelta(hours=HOURS))
        lines = [(row, counts.get(row.name, 0)) for row in rows[:200]]
        return render(request, "deployments/endpoint_list.html", {"lines": lines, "hours": HOURS})

    def past(self, span: Span) -> list[Section]:
        return past.production(self.project, span)

    def past_heading(self, **kwargs: Any) -> str:
        del kwargs
        return "Deployments"

    def past_evidence(self, **kwargs: Any) -> dict[str, str]:
        del kwargs
        return evidence_of(self.project)


class OneEndpoint(ProjectView):
    """Loads the endpoint that the address names."""

    abstract = True
    reads = Endpoint
    permission = Permission.ENDPOINT_VIEW

    def load(self, name: str) -> Endpoint:
        """Return the endpoint with what answers there."""
        found: Endpoint = self.find(self.rows().in_project(self.project).with_live(), name_key=names.key(name))
        return found

    def show(
        self, endpoint: Endpoint, *, error: DomainError | None = None, status: int = 200, **extra: Any
    ) -> HttpResponse:
        """Render the page, with a refusal when there is one."""
        seen = queries.traffic(self.project, endpoint.name, since=timezone.now() - timedelta(hours=HOURS))
        live = endpoint.current_revision
        revisions = EndpointRevision.objects.filter(endpoint=endpoint).select_related(
            "version__model", "promotion", "created_by", "review__closed_by"
        )
        context = {
            "endpoint": endpoint,
            "revision": live,
            "version": live.version if live else None,
            "traffic": next((item for item in seen if live and item.version == live.version.label), None),
            "others": seen,
            "hours": HOURS,
            "revisions": list(revisions.order_by("-number")[:HISTORY]),
            "earlier": endpoints.goal_of(endpoint),
            "activity": Event.objects.filter(target_type="endpoint", target_id=endpoint.pk).order_by("-seq")[:6],
            "settings_form": EndpointForm.of(endpoint),
            "automations": self._automations(endpoint),
            "triggers": list(
                RetrainTrigger.objects.filter(automation__endpoint=endpoint).with_story().order_by("-pk")[:TRIGGERS]
            ),
            "ways": asking.ways(self.actor, endpoint=endpoint),
            "records_text": json.dumps([example.record(live.version.signature)], indent=2) if live else "",
            "error": None,
            **dividing.context(endpoint),
            "refused": error,
            "addresses": {
                name: f"{address(endpoint)}{name}/" for name in ("rollback", "disable", "configure", "automation")
            },
            **extra,
        }
        given = context.pop("automation_form", None)
        context["automation_forms"] = [
            given if given is not None and given.data.get("trigger") == kind
            else AutomationForm.of(context["automations"].get(kind), kind)
            for kind in Automation.Trigger.values
        ]  # fmt: skip
        return render(self.request, "deployments/endpoint_detail.html", context, status=status)

    def attempt(self, endpoint: Endpoint, act: Any, done: str) -> HttpResponse:
        """Run a service and answer with the page: moved on, or with what was refused."""
        try:
            act()
        except DomainError as error:
            if error.status == 403:
                raise
            return self.show(endpoint, error=error, status=409 if error.status == 409 else 422)
        messages.success(self.request, done)
        return see(address(endpoint))

    def _automations(self, endpoint: Endpoint) -> dict[str, Automation]:
        rows = Automation.objects.filter(endpoint=endpoint).select_related("owner").order_by("trigger")
        return {row.trigger: row for row in rows}


class EndpointDetail(OneEndpoint):
    """One endpoint: what answers, traffic, history, try it, settings."""

    reads = Endpoint
    permission = Permission.ENDPOINT_VIEW

    def past(self, span: Span, name: str) -> list[Section]:
        found = self.load(name)
        rows = past.traffic(self.project, span, endpoint=found)
        return [*past.answers(rows), *past.revisions_until(found, span)]

    def past_evidence(self, **kwargs: Any) -> dict[str, str]:
        return evidence_of(self.project, self.load(kwargs["name"]).model.name)

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        return self.show(self.load(name))


class EndpointRollback(OneEndpoint):
    """Return to an earlier approved version."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        endpoint = self.load(name)
        version = self._version(endpoint, request.POST.get("version", ""))

        def act() -> None:
            given = request.POST
            endpoints.rollback(
                self.actor, endpoint=endpoint, reason=given.get("reason", ""), version=version,
                alert=whole(given, "alert") if given.get("alert") else None,
            )  # fmt: skip

        return self.attempt(endpoint, act, "Rolled back. An approver was asked to look at it.")

    def _version(self, endpoint: Endpoint, number: str) -> ModelVersion | None:
        if not number:
            return None
        rows = ModelVersion.objects.filter(model=endpoint.model).select_related("model__project")
        found = (
            rows.filter(number=int(number)).first()
            if number.isascii() and number.isdigit() and len(number) < 9
            else None
        )
        if found is None:
            raise Missing(f"There is no version {number[:20]} of {endpoint.model.name}.", field="version")
        return found


class EndpointDisable(OneEndpoint):
    """Stop answering."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        endpoint = self.load(name)
        reason = request.POST.get("reason", "")
        return self.attempt(
            endpoint, lambda: endpoints.disable(self.actor, endpoint=endpoint, reason=reason), "The endpoint is off."
        )


class EndpointEnable(OneEndpoint):
    """Answer again."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        endpoint = self.load(name)
        return self.attempt(
            endpoint, lambda: endpoints.enable(self.actor, endpoint=endpoint), "The endpoint answers again."
        )


class EndpointConfigure(OneEndpoint):
    """Choose what the prediction log keeps and how many requests are taken."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        endpoint = self.load(name)
        form = EndpointForm(request.POST)
        if not form.is_valid():
            return self.show(endpoint, status=422, settings_form=form)
        return self.attempt(
            endpoint, lambda: endpoints.configure(self.actor, endpoint=endpoint, **form.values()), "Settings saved."
        )


class AutomationConfigure(OneEndpoint):
    """Switch retraining on or off."""

    reads = Endpoint
    permission = Permission.AUTOMATION_EDIT

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        endpoint = self.load(name)
        form = AutomationForm(request.POST)
        if not form.is_valid():
            return self.show(endpoint, status=422, automation_form=form)
        try:
            automations.configure(self.actor, endpoint=endpoint, **form.values())
        except DomainError as error:
            form.refuse(error)
            return self.show(endpoint, status=422, automation_form=form)
        messages.success(request, "Retraining is set.")
        return see(address(endpoint))


class ReviewClose(OneEndpoint):
    """Say what came of the second look at a rollback or a break-glass."""

    reads = Endpoint
    permission = Permission.PROMOTION_DECIDE

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        endpoint = self.load(name)
        rows = RollbackReview.objects.filter(revision__endpoint=endpoint).select_related(
            "revision__endpoint__project", "revision__endpoint__environment"
        )
        review = self.find(rows, revision__number=number)
        said = {"comment": request.POST.get("comment", ""), "outcome": request.POST.get("outcome", "")}
        return self.attempt(endpoint, lambda: looks.close(self.actor, review=review, **said), "Review closed.")
