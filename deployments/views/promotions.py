"""Pages of promotion requests: the list, the review, and what people do there."""

from typing import Any

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from deployments.models import GateOverride, GateResult, PromotionRequest
from deployments.models.promotions import PromotionRequestQuerySet
from deployments.services import deciders, endpoints, evidence, ledger, promised, promotions, trial_plans
from deployments.views import changes, costs, deciding, retrained, review
from deployments.views.answers import see
from mlportal.lib.errors import DomainError
from projects.access import ProjectView
from projects.permissions import Permission, allowed

PAGE_ROWS = 50
FILTERS = (
    ("", "All"), ("pending", "Waiting"), ("approved", "Approved"), ("suspended", "Suspended"),
    ("rejected", "Rejected"), ("stale", "Stale"), ("lapsed", "Lapsed"),
)  # fmt: skip


def address(request: PromotionRequest) -> str:
    """Return the address of a request's page."""
    return reverse("deployments:promotion-detail", args=[request.project.slug, request.pk])


def joined(rows: PromotionRequestQuerySet) -> PromotionRequestQuerySet:
    """Join everything that a request's page shows."""
    return rows.with_subject().select_related(
        "version__run__experiment", "version__run__created_by", "version__dataset_version__dataset", "evaluation",
        "version__created_by", "policy__proposed_by", "policy__confirmed_by", "baseline__model",
        "baseline__dataset_version__dataset",
        "version__run__job__created_by", "version__logged_model__created_by", "decided_by", "lifted_by",
    ).prefetch_related(
        Prefetch("gate_results", GateResult.objects.order_by("position")),
        Prefetch("decisions", deciders.with_people()),
        "conditions",
        Prefetch("overrides", GateOverride.objects.select_related("user")),
        "revisions__endpoint",
    )  # fmt: skip


class PromotionList(ProjectView):
    """Requests of the project, newest first."""

    reads = PromotionRequest
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        rows = self.rows().in_project(self.project).in_brief().order_by("-pk")
        chosen = request.GET.get("state", "")
        if chosen in PromotionRequest.State.values:
            rows = rows.filter(state=chosen)
        before = request.GET.get("before", "")
        if before.isascii() and before.isdigit():
            rows = rows.filter(pk__lt=int(before[:18]))
        found = list(rows[: PAGE_ROWS + 1])
        context = {
            "requests": found[:PAGE_ROWS],
            "state": chosen,
            "filters": FILTERS,
            "before": found[PAGE_ROWS - 1].pk if len(found) > PAGE_ROWS else "",
        }
        return render(request, "deployments/promotion_list.html", context)


class OneRequest(ProjectView):
    """Loads the request that the address names."""

    abstract = True
    reads = PromotionRequest
    permission = Permission.MODEL_VIEW

    def load(self, number: int) -> PromotionRequest:
        """Return the request with everything its page shows."""
        found: PromotionRequest = self.find(joined(self.rows().in_project(self.project)), pk=number)
        return found

    def show(self, number: int, *, error: DomainError | None = None, status: int = 200) -> HttpResponse:
        """Render the page, with a refusal and what was typed when there is one."""
        held = self.load(number)
        told = review.load(self.actor, held)
        context: dict[str, Any] = {
            "request_": held,
            "heading": f"Promote {held.version} to {held.environment.name}",
            "review": told,
            "changes": changes.of(held),
            "retrained": retrained.of(told.found),
            "bias": ledger.bias(self.project, promised.metric_of(held.version)),
            "cost": costs.card(held, told.found, self.request.GET),
            "may_roll_out": _may_roll_out(held),
            "trial_metrics": [(item.value, item.label) for item in trial_plans.metrics_of(held.version)],
            "may_retry": evidence.may_retry(held) and allowed(self.actor, Permission.PROMOTION_REQUEST, self.project),
            **deciding.context(self.actor, held),
            "revision": next(
                (item for item in held.revisions.all() if item.kind in ("promotion", "break_glass")), None
            ),
            "error": error,
            "comment": self.request.POST.get("comment", "") if error else "",
            "typed": self.request.POST if error else {},
            "ticked": self.request.POST.getlist("acknowledged") if error else [],
        }
        return render(self.request, "deployments/promotion_detail.html", context, status=status)


def _may_roll_out(held: PromotionRequest) -> bool:
    """Whether there is something live to compare with, and no plan yet."""
    if not held.baseline_id or held.state not in (PromotionRequest.State.PENDING, PromotionRequest.State.APPROVED):
        return False
    used = any(item.kind in ("promotion", "break_glass") for item in held.revisions.all())
    return not used and not held.rollouts.exclude(state="aborted").exists() and not held.trials.exists()


class PromotionDetail(OneRequest):
    """The review page: one screen to decide on."""

    reads = PromotionRequest
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        return self.show(number)


class PromotionProgress(OneRequest):
    """The progress of the evaluation alone, for polling; the page reloads once when it is sealed."""

    reads = PromotionRequest
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        held = self.find(self.rows().in_project(self.project).select_related("evaluation", "project"), pk=number)
        response = render(request, "deployments/_evaluation.html", {"request_": held})
        if held.seal or not held.is_pending:
            response["HX-Refresh"] = "true"
        return response


class PromotionDecide(OneRequest):
    """Approve, reject or ask for changes."""

    reads = PromotionRequest
    permission = Permission.PROMOTION_SIGN

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        held = self.load(number)
        try:
            promotions.decide(
                self.actor,
                request=held,
                verdict=request.POST.get("verdict", ""),
                comment=request.POST.get("comment", ""),
                acknowledged=request.POST.getlist("acknowledged"),
                conditions=deciding.terms(request.POST),
                seen=request.POST.get("seen", ""),
            )
        except DomainError as error:
            if error.status == 403:
                raise
            return self.show(number, error=error, status=409 if error.status == 409 else 422)
        return see(address(held))


class PromotionWithdraw(OneRequest):
    """Take one's own request back."""

    reads = PromotionRequest
    permission = Permission.PROMOTION_REQUEST

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        held = promotions.withdraw(self.actor, request=self.load(number))
        messages.success(request, f"Promotion {held.pk} is withdrawn.")
        return see(address(held))


class PromotionRetry(OneRequest):
    """Have a failed evaluation made again."""

    reads = PromotionRequest
    permission = Permission.PROMOTION_REQUEST

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        held = self.load(number)
        try:
            evidence.retry(self.actor, request=held)
        except DomainError as error:
            if error.status == 403:
                raise
            return self.show(number, error=error, status=error.status)
        messages.success(request, f"A worker measures {held.version.label} again.")
        return see(address(held))


class PromotionOverride(OneRequest):
    """Let one red gate pass, with a reason."""

    reads = PromotionRequest
    permission = Permission.GATE_OVERRIDE

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        held = self.load(number)
        try:
            made = promotions.override(
                self.actor, request=held, gate=request.POST.get("gate", ""), reason=request.POST.get("reason", "")
            )
        except DomainError as error:
            if error.status == 403:
                raise
            return self.show(number, error=error, status=409 if error.status == 409 else 422)
        messages.success(request, f"{made.gate} is overridden. Another person still has to approve.")
        return see(address(held))


class PromotionSwitch(OneRequest):
    """Deploy an approved request by hand, where the rules ask for it."""

    reads = PromotionRequest
    permission = Permission.ENDPOINT_DEPLOY

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        held = self.load(number)
        try:
            made = endpoints.switch(self.actor, request=held)
        except DomainError as error:
            return self.show(number, error=error, status=error.status)
        messages.success(request, f"{made.version.label} answers on {made.endpoint.name} now.")
        return see(address(held))
