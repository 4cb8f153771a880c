"""Page of the rules: one card per environment, changes, and the second admin's answer."""

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from deployments.forms import PolicyForm
from deployments.models import Environment, Policy
from deployments.proof import rules
from deployments.services import holds, past, policies
from deployments.views.answers import see
from mlportal.lib.errors import DomainError
from mlportal.lib.moments import Span
from projects.access import ProjectView
from projects.permissions import Permission
from projects.services.past import Section


class PolicyList(ProjectView):
    """Rules in force per environment, and proposals."""

    reads = Policy
    permission = Permission.MODEL_VIEW
    write_permission = Permission.POLICY_EDIT

    def past(self, span: Span) -> list[Section]:
        return past.policies(self.project, span)

    def past_heading(self, **kwargs: Any) -> str:
        del kwargs
        return "Promotion rules"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.show(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        policies.ensure(self.project)
        place = self.find(Environment.objects.in_project(self.project), name=request.POST.get("environment", "")[:100])
        form = PolicyForm(request.POST, prefix=place.name)
        if form.is_valid():
            try:
                made = policies.change(self.actor, environment=place, **form.cleaned_data)
            except DomainError as error:
                form.refuse(error)
            else:
                waits = made.state == Policy.State.PROPOSED
                messages.success(request, "A second admin has to confirm." if waits else "The new rules are in force.")
                return see(reverse("deployments:policy-list", args=[self.project.slug]))
        return self.show(request, refused={place.pk: form}, status=422)

    def show(
        self, request: HttpRequest, *, refused: dict[int, PolicyForm] | None = None, status: int = 200
    ) -> HttpResponse:
        """Render the page."""
        rows = self.rows().in_project(self.project).select_related("environment", "proposed_by", "confirmed_by")
        found = list(rows.order_by("-environment__position", "-number"))
        places = []
        for policy in (item for item in found if item.state == Policy.State.ACTIVE):
            same = [item for item in found if item.environment_id == policy.environment_id]
            proposal = next((item for item in same if item.state == Policy.State.PROPOSED), None)
            form = (refused or {}).get(policy.environment_id) or _form(policy)
            may_confirm = proposal is not None and not holds.same_person(self.actor.user, proposal.proposed_by)
            places.append(
                {
                    "policy": policy, "proposal": proposal, "form": form, "history": same[:10],
                    "gates": [_gate(row) for row in policy.gates], "may_confirm": may_confirm,
                }
            )  # fmt: skip
        return render(request, "deployments/policy_list.html", {"places": places}, status=status)


class _Proposal(ProjectView):
    """Loads the proposal that the address names."""

    abstract = True
    reads = Policy
    permission = Permission.POLICY_EDIT

    def load(self, environment: str, number: int) -> Policy:
        """Return one version of the rules."""
        rows = self.rows().in_project(self.project).select_related("environment__project", "proposed_by")
        found: Policy = self.find(rows, environment__name=environment, number=number)
        return found


class PolicyConfirm(_Proposal):
    """Put proposed rules into force."""

    reads = Policy
    permission = Permission.POLICY_EDIT

    def post(self, request: HttpRequest, environment: str, number: int) -> HttpResponse:
        policies.confirm(self.actor, policy=self.load(environment, number))
        messages.success(request, "The new rules are in force. Open requests became stale.")
        return see(reverse("deployments:policy-list", args=[self.project.slug]))


class PolicyDrop(_Proposal):
    """Refuse proposed rules, or take them back."""

    reads = Policy
    permission = Permission.POLICY_EDIT

    def post(self, request: HttpRequest, environment: str, number: int) -> HttpResponse:
        policies.drop(self.actor, policy=self.load(environment, number))
        messages.success(request, "The proposal is dropped.")
        return see(reverse("deployments:policy-list", args=[self.project.slug]))


def _form(policy: Policy) -> PolicyForm:
    initial = {
        "min_approvals": policy.min_approvals,
        "expiry_days": policy.expiry_days,
        "four_eyes": policy.four_eyes,
        "switch_at_approval": policy.switch_at_approval,
        "gates": policy.gates,
    }
    form = PolicyForm(initial=initial, prefix=policy.environment.name)
    form.initial["gates"] = json.loads(json.dumps(policy.gates))
    return form


def _gate(row: dict[str, object]) -> dict[str, str]:
    [gate] = rules.parse([row])
    return {"words": gate.kind.replace("_", " "), "metric": gate.metric, "level": gate.level, "bar": _bar(gate)}


def _bar(gate: rules.Gate) -> str:
    if gate.limit is not None and gate.kind == "size_at_most":
        return f"{gate.limit / rules.MEGABYTE:,.3g} MB"
    if gate.limit is not None:
        unit = " ms" if gate.kind == "latency_at_most" else ""
        return f"{rules.plain_number(gate.limit)}{unit}"
    if gate.kind == "metric_not_worse":
        return f"margin {gate.margin * 100:g}%" if gate.relative else f"margin {rules.plain_number(gate.margin)}"
    return ""
