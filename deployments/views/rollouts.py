"""What ops does to a rollout: plan it on the page of a promotion, move it on the page of its endpoint."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from deployments.models import Endpoint, PromotionRequest, Rollout
from deployments.services import rollouts
from deployments.views import endpoints
from deployments.views.answers import see
from deployments.views.endpoints import OneEndpoint
from deployments.views.promotions import OneRequest
from deployments.views.typed import number, whole
from mlportal.lib.errors import DomainError
from projects.permissions import Permission


class PromotionRollout(OneRequest):
    """Plan a rollout of what a request asks for; an approved one starts at once."""

    reads = PromotionRequest
    permission = Permission.ENDPOINT_DEPLOY

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        held = self.load(number)
        try:
            made = rollouts.plan(self.actor, request=held, **_plan(request.POST))
            if held.state == PromotionRequest.State.APPROVED:
                rollouts.start(self.actor, rollout=made)
        except DomainError as error:
            if error.status == 403:
                raise
            return self.show(number, error=error, status=409 if error.status == 409 else 422)
        messages.success(request, f"Rollout {made.pk} is {'planned' if held.is_pending else 'under way'}.")
        return see(endpoints.address(Endpoint.objects.select_related("project").get(pk=made.endpoint_id)))


class _Move(OneEndpoint):
    """Does one thing to a rollout of the endpoint."""

    abstract = True
    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY
    act: ClassVar[Callable[..., Rollout]]
    done: ClassVar[str]
    has_reason: ClassVar[bool] = False

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        endpoint = self.load(name)
        rows = Rollout.objects.with_subject().filter(endpoint=endpoint)
        rollout = self.find(rows, pk=min(number, 2**63 - 1))
        values = {"reason": request.POST.get("reason", "")} if self.has_reason else {}

        def act() -> None:
            type(self).act(self.actor, rollout=rollout, **values)

        return self.attempt(endpoint, act, self.done.format(rollout.version.label))


class RolloutStart(_Move):
    """Start."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY
    act = staticmethod(rollouts.start)
    done = "{} is loaded beside what is live; requests come once that is done."


class RolloutPause(_Move):
    """Hold."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY
    act = staticmethod(rollouts.pause)
    done = "The rollout of {} is held."
    has_reason = True


class RolloutResume(_Move):
    """Go on."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY
    act = staticmethod(rollouts.resume)
    done = "The rollout of {} goes on."


class RolloutAdvance(_Move):
    """Next step."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY
    act = staticmethod(rollouts.advance)
    done = "The rollout of {} is one step on."


class RolloutPromote(_Move):
    """Put live."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY
    act = staticmethod(rollouts.promote)
    done = "{} answers every request."


class RolloutAbort(_Move):
    """Give back."""

    reads = Endpoint
    permission = Permission.ENDPOINT_DEPLOY
    act = staticmethod(rollouts.abort)
    done = "The rollout of {} is aborted; what was live answers every request."
    has_reason = True


def _plan(sent: Any) -> dict[str, Any]:
    shares = [part.strip().rstrip("%").strip() for part in sent.get("shares", "").split(",") if part.strip()]
    minutes, requests = (whole(sent, name) for name in ("minutes", "requests"))
    steps = [{"share": _percent(share), "minutes": minutes, "requests": requests} for share in shares]
    return {
        "reason": sent.get("reason", ""), "steps": steps, "shadow": sent.get("shadow") == "on",
        "label_margin": number(sent.get("label_margin") or "0", "label_margin"),
    }  # fmt: skip


def _percent(text: str) -> float:
    return round(number(text, "shares") / 100, 6)
