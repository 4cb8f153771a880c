"""The page of a trial: its frozen plan, the interval at every look, and the decision."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from deployments.models import Endpoint, PromotionRequest, Trial, TrialJudgement, TrialLook
from deployments.services import guardrails, trials
from deployments.traffic.criteria import SPLIT_ALPHA
from deployments.views.answers import see
from deployments.views.endpoints import OneEndpoint
from deployments.views.promotions import OneRequest
from deployments.views.typed import number, whole
from mlportal.lib.errors import DomainError
from monitoring.charts import Line, Series
from projects.permissions import Permission

MOST_LOOKS = 500
CENTRE, REACH = 50.0, 48.0
FIELDS = ("name", "hypothesis", "metric", "positive")


def address(trial: Trial) -> str:
    """Return the address of a trial's page."""
    place = trial.endpoint
    return reverse("deployments:trial-detail", args=[place.project.slug, place.name, trial.pk])


class PromotionTrial(OneRequest):
    """Register a trial of what a request asks for."""

    reads = PromotionRequest
    permission = Permission.ENDPOINT_DEPLOY

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        held = self.load(number)
        try:
            made = trials.register(self.actor, request=held, **_plan(request.POST))
        except DomainError as error:
            if error.status == 403:
                raise
            return self.show(number, error=error, status=409 if error.status == 409 else 422)
        messages.success(request, "The trial is registered. Its plan is frozen when it starts.")
        return see(address(Trial.objects.with_subject().get(pk=made.pk)))


class _OneTrial(OneEndpoint):
    """Loads the trial that the address names."""

    abstract = True
    reads = Endpoint
    permission = Permission.ENDPOINT_VIEW

    def trial(self, name: str, number: int) -> Trial:
        """Return one trial of the endpoint."""
        return self.find(Trial.objects.with_subject().filter(endpoint=self.load(name)), pk=min(number, 2**63 - 1))

    def tell(self, trial: Trial, error: DomainError | None = None) -> HttpResponse:
        """Render the page, with a refusal when there is one."""
        looks = list(TrialLook.objects.filter(trial=trial).order_by("-at")[:MOST_LOOKS])[::-1]
        series = _series(trial, [] if trial.is_judged_once else looks)
        running, now = trial.state == Trial.State.RUNNING, timezone.now()
        drawn = series.plot(".4f") | {"zero": False} if looks and not trial.is_judged_once else None
        judged = trials.judgement_of(trial) if trial.is_judged_once else None
        context = {
            "trial": trial, "endpoint": trial.endpoint, "last": looks[-1] if looks else None, "refused": error,
            "looks": looks[::-1][:50], "series": series, "plot": drawn,
            "mismatch": bool(looks) and looks[-1].mismatch_p < SPLIT_ALPHA,
            "judged": judged, "drawn": _drawn(trial, judged) if judged else None,
            "waits_for": trials.waits_for(trial, now) if running else "",
            "guards": guardrails.of(trial, now) if running else [],
            "too_early": trials.too_early(trial, now) if running else "",
            "alpha_percent": 100 * (1 - trial.alpha),
        }  # fmt: skip
        status = 200 if error is None else 409 if error.status == 409 else 422
        return render(self.request, "deployments/trial.html", context, status=status)

    def settle(self, trial: Trial, act: Any, done: str) -> HttpResponse:
        """Run a service and answer with the page: moved on, or with what was refused."""
        try:
            act()
        except DomainError as error:
            if error.status == 403:
                raise
            return self.tell(trial, error)
        messages.success(self.request, done)
        return see(address(trial))


class TrialDetail(_OneTrial):
    """One trial."""

    reads = Endpoint
    permission = Permission.ENDPOINT_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        del request
        return self.tell(self.trial(name, number))


class TrialStart(_OneTrial):
    """Freeze the plan and divide the units."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        del request
        held = self.trial(name, number)
        return self.settle(held, lambda: trials.start(self.actor, trial=held), "The trial runs; its plan is frozen.")


class TrialStop(_OneTrial):
    """Decide."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        held = self.trial(name, number)
        decision, reason = (request.POST.get(field, "") for field in ("decision", "reason"))

        def act() -> None:
            trials.stop(self.actor, trial=held, decision=decision, reason=reason)

        return self.settle(held, act, "The trial is decided.")


def _series(trial: Trial, looks: list[TrialLook]) -> Series:
    """The difference with its interval over time; no difference is the line at zero."""
    lines = [
        Line("upper end", [look.high for look in looks], 1, 1),
        Line("difference", [look.difference for look in looks], 1),
        Line("lower end", [look.low for look in looks], 1, 1),
        Line("no difference", [0.0 for _ in looks], 2, 2),
    ]  # fmt: skip
    return Series([look.at for look in looks], lines, limit=_worth(trial), limit_text="smallest effect worth acting on")


def _drawn(trial: Trial, judged: TrialJudgement) -> dict[str, float]:
    """Places of an interval on a line of 100, no difference in the middle; the farthest reaches the border."""
    found = {"low": judged.low, "mid": judged.difference, "high": judged.high, "worth": trial.minimum_effect}
    farthest = max(abs(value) for value in found.values())
    return {name: round(CENTRE + REACH * value / farthest, 2) for name, value in found.items()}


def _worth(trial: Trial) -> float:
    return trial.minimum_effect if trial.more_is_better else -trial.minimum_effect


def _plan(sent: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {field: sent.get(field, "") for field in FIELDS}
    wanted["minimum_effect"] = number(sent.get("minimum_effect") or "", "minimum_effect")
    wanted["share"] = round(number(sent.get("share") or "50", "share") / 100, 6)
    wanted["alpha"] = number(sent.get("alpha") or "0.05", "alpha")
    return wanted | {field: whole(sent, field) for field in ("minimum_days", "minimum_units")}
