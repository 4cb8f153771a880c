"""Pages of the rules of environments: in force, edit, one version with its back-test, history."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from deployments.models import Backtest, Policy, PromotionRequest
from deployments.policy_form import PolicyForm
from deployments.proof import rules
from deployments.proof.rules_change import gate_words, steps_words
from deployments.services import backtests, holders, holds, past, policies
from deployments.views.answers import see
from mlportal.lib.errors import DomainError
from mlportal.lib.moments import Span
from projects.access import ProjectView
from projects.actor import Actor
from projects.permissions import Permission
from projects.services import marks
from projects.services.past import Section

SHOWN_REQUESTS = 20
MENDABLE = (400, 409, 422)
IN_FORCE = "The new rules are in force. Open requests are stale."


class PolicyList(ProjectView):
    """Rules in force in each environment, and what waits."""

    reads = Policy
    permission = Permission.MODEL_VIEW

    def past(self, span: Span) -> list[Section]:
        """Return the rules that were in force."""
        return past.policies(self.project, span)

    def past_heading(self, **kwargs: Any) -> str:
        """Return the heading of the page as it was."""
        del kwargs
        return "Promotion rules"

    def get(self, request: HttpRequest) -> HttpResponse:
        rows = self.rows().in_project(self.project).select_related("environment", "proposed_by", "confirmed_by")
        rows = rows.filter(environment__archived_at=None)
        open_rows = rows.filter(state__in=[Policy.State.ACTIVE, Policy.State.PROPOSED, Policy.State.DRAFT])
        hidden = marks.hidden_anywhere(self.actor, project=self.project)
        listed = open_rows.order_by("-environment__position", "environment__name", "-number")
        found = [policies.readable(row, hidden) for row in listed]
        places = [
            {
                **_said(policy),
                "proposal": _other(found, policy, Policy.State.PROPOSED),
                "draft": _other(found, policy, Policy.State.DRAFT, by=self.actor.user),
            }
            for policy in found
            if policy.state == Policy.State.ACTIVE
        ]
        return render(request, "deployments/policy_list.html", {"places": places})


class _InEnvironment(ProjectView):
    """Loads what the address names."""

    abstract = True
    reads = Policy
    permission = Permission.MODEL_VIEW

    def versions(self) -> QuerySet[Policy]:
        """Return the versions of rules the reader may see."""
        rows: QuerySet[Policy] = self.rows().in_project(self.project)
        return rows.select_related("environment__project", "proposed_by", "confirmed_by")

    def load(self, environment: str, number: int) -> Policy:
        """Return one version of the rules."""
        found: Policy = self.find(self.versions(), environment__name=environment, number=min(number, 2**31 - 1))
        return found

    def in_force(self, environment: str) -> Policy:
        """Return the version in force."""
        found: Policy = self.find(self.versions(), environment__name=environment, state=Policy.State.ACTIVE)
        return found

    def address(self, policy: Policy) -> str:
        """Return the page of a version."""
        return reverse("deployments:policy-version", args=[self.project.slug, policy.environment.name, policy.number])


class PolicyHistory(_InEnvironment):
    """Versions of the rules of an environment: who, when, from when to when."""

    reads = Policy
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, environment: str) -> HttpResponse:
        in_force = self.in_force(environment)
        rows = self.versions().filter(environment=in_force.environment_id)
        rows = rows.annotate(uses=Count("promotion_requests")).order_by("-number")
        return render(request, "deployments/policy_history.html", {"in_force": in_force, "versions": rows[:200]})


class PolicyEdit(_InEnvironment):
    """Write a new version: as a draft, with or without a back-test."""

    reads = Policy
    permission = Permission.POLICY_EDIT

    def get(self, request: HttpRequest, environment: str) -> HttpResponse:
        in_force = self.in_force(environment)
        start = request.GET.get("from", "")
        shown = self.load(environment, int(start)) if start.isdecimal() and len(start) < 10 else in_force
        return self.show(request, in_force, PolicyForm.of(shown), shown=shown)

    def post(self, request: HttpRequest, environment: str) -> HttpResponse:
        in_force = self.in_force(environment)
        form = PolicyForm.read(request.POST)
        wish = request.POST.get("do", "save")
        try:
            if form.arrange(wish, request.POST.get("new_kind", "")):
                return self.show(request, in_force, form)
            made = policies.draft(self.actor, environment=in_force.environment, **form.values())
        except DomainError as error:
            if error.status not in MENDABLE:
                raise
            form.refuse(error)
            return self.show(request, in_force, form, status=422)
        if wish == "backtest":
            backtests.start(self.actor, policy=made)
        messages.success(request, f"Draft {made.number} is saved. The rules in force have not changed.")
        return see(self.address(made))

    def show(
        self,
        request: HttpRequest,
        in_force: Policy,
        form: PolicyForm,
        *,
        shown: Policy | None = None,
        status: int = 200,
    ) -> HttpResponse:
        """Render the form."""
        found = {"form": form, "in_force": in_force, "shown": shown}
        return render(request, "deployments/policy_edit.html", found, status=status)


class PolicyVersion(_InEnvironment):
    """One version: what it changes, what its back-test says, which requests used it."""

    reads = Policy
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, environment: str, number: int) -> HttpResponse:
        hidden = marks.hidden_anywhere(self.actor, project=self.project)
        policy = policies.readable(self.load(environment, number), hidden)
        in_force = policies.readable(self.in_force(environment), hidden)
        used = PromotionRequest.objects.filter(policy=policy).select_related("version__model", "requested_by")
        waits = policy.state in (Policy.State.DRAFT, Policy.State.PROPOSED)
        found = {
            **_said(policy),
            "heading": f"Rules of {policy.environment.name}, version {policy.number}",
            "in_force": in_force,
            "changes": policies.compared(in_force, policy) if waits else [],
            "since": _predecessor(policy, hidden),
            "warnings": holders.warnings(policy) if waits or policy.state == Policy.State.ACTIVE else [],
            "requests": used.order_by("-pk")[:SHOWN_REQUESTS],
            "uses": used.count(),
            "open": policies.would_end(policy.environment) if waits else 0,
            "outdated": policy.state == Policy.State.DRAFT and policy.based_on != in_force.number,
            "may_confirm": not holds.same_person(self.actor.user, policy.proposed_by),
            **_tested(self.actor, policy),
        }
        return render(request, "deployments/policy_version.html", found)


class PolicyBacktest(_InEnvironment):
    """Start a back-test, and show the newest one while it is under way."""

    reads = Policy
    permission = Permission.MODEL_VIEW
    write_permission = Permission.POLICY_EDIT

    def get(self, request: HttpRequest, environment: str, number: int) -> HttpResponse:
        policy = self.load(environment, number)
        return render(request, "deployments/_backtest.html", {"policy": policy, **_tested(self.actor, policy)})

    def post(self, request: HttpRequest, environment: str, number: int) -> HttpResponse:
        policy = self.load(environment, number)
        backtests.start(self.actor, policy=policy)
        messages.success(request, "The back-test has started. It changes nothing.")
        return see(self.address(policy))


class PolicyActivate(_InEnvironment):
    """Put a draft into force, or before a second admin."""

    reads = Policy
    permission = Permission.POLICY_EDIT

    def post(self, request: HttpRequest, environment: str, number: int) -> HttpResponse:
        made = policies.activate(self.actor, policy=self.load(environment, number))
        waits = made.state == Policy.State.PROPOSED
        messages.success(request, "A second admin has to confirm." if waits else IN_FORCE)
        return see(self.address(made))


class PolicyConfirm(_InEnvironment):
    """Put proposed rules into force."""

    reads = Policy
    permission = Permission.POLICY_EDIT

    def post(self, request: HttpRequest, environment: str, number: int) -> HttpResponse:
        made = policies.confirm(self.actor, policy=self.load(environment, number))
        messages.success(request, IN_FORCE)
        return see(self.address(made))


class PolicyDrop(_InEnvironment):
    """Refuse proposed rules, or take a draft or a proposal back."""

    reads = Policy
    permission = Permission.POLICY_EDIT

    def post(self, request: HttpRequest, environment: str, number: int) -> HttpResponse:
        made = policies.drop(self.actor, policy=self.load(environment, number))
        messages.success(request, f"Version {made.number} is dropped.")
        return see(reverse("deployments:policy-list", args=[self.project.slug]))


def _said(policy: Policy) -> dict[str, Any]:
    """Return a version with its gates and steps in words."""
    gates = [
        {"words": gate_words(gate), "level": gate.level, "name": gate.name, "about": rules.KINDS[gate.kind].about}
        for gate in rules.parse(policy.gates)
    ]
    return {"policy": policy, "gates": gates, "approvals": steps_words(policy.steps)}


def _other(found: list[Policy], policy: Policy, state: str, *, by: object = None) -> Policy | None:
    same = (row for row in found if row.environment_id == policy.environment_id and row.state == state)
    return next((row for row in same if by is None or row.proposed_by == by), None)


def _predecessor(policy: Policy, hidden: Mapping[str, marks.Hidden]) -> list[Any]:
    """Say what a version that was in force changed against the one it replaced."""
    before = Policy.objects.filter(environment=policy.environment, number=policy.based_on).first()
    return policies.compared(policies.readable(before, hidden), policy) if before is not None else []


def _tested(by: Actor, policy: Policy) -> dict[str, Any]:
    joined = Backtest.objects.filter(policy=policy).select_related("asked_by", "policy__environment__project")
    found = joined.order_by("-pk").first()
    if found is None:
        return {"backtest": None}
    result = backtests.told(by, backtest=found) or {}
    headings = (("production", "Live now"), ("requests", "Past requests"))
    parts = [
        {"key": part, "heading": heading, "counts": found.counts(part), "rows": result.get(part, [])}
        for part, heading in headings
    ]
    return {"backtest": found, "parts": parts}
