"""REST routes of the evidence of a promotion: the whole review page as JSON."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api import shapes
from deployments.api.promotions import TAGS
from deployments.models import KeptCard, PromotionRequest
from deployments.services import evidence
from deployments.views import changes, review
from deployments.views.promotions import joined
from projects.access import ScopedAPIView
from projects.actor import Actor
from projects.permissions import Permission

P = Permission


class _Reviewed(ScopedAPIView):
    """Finds the request of the address with all that its review shows."""

    abstract = True
    reads = PromotionRequest
    permissions = {"GET": P.MODEL_VIEW}

    def answer(self, number: int, *, status: int = 200) -> Response:
        """Return the review as it is now."""
        held: PromotionRequest = self.find(joined(self.rows().in_project(self.project)), pk=min(number, 2**62))
        return Response(_document(self.actor, held), status=status)


def _document(by: Actor, held: PromotionRequest) -> dict[str, Any]:
    work, told = held.evaluation, review.load(by, held)
    return {
        "promotion": held.pk,
        "evaluation": {
            "state": work.state, "phase": work.phase, "progress": work.progress, "failure": work.failure,
            "inputs_sha256": work.inputs_sha256,
        },
        "verdict": {"headline": told.headline, "summary": told.summary},
        "gates": shapes.GateResultSerializer(told.results, many=True).data,
        "changes": changes.plain(changes.of(held)),
        "result": evidence.readable(by, request=held, result=work.result),
        "missing": told.evidence.missing,
        "card": _card(held),
        "seal": held.seal,
    }  # fmt: skip


def _card(held: PromotionRequest) -> dict[str, Any] | None:
    """Return number and hash of the model card that was kept, None before it was measured."""
    kept = KeptCard.objects.filter(request=held).only("number", "sha256").first()
    return {"number": kept.number, "sha256": kept.sha256} if kept else None


class PromotionEvidence(_Reviewed):
    """Evidence of one request."""

    reads = PromotionRequest
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(operation_id="promotions_evidence", tags=TAGS, responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, number: int) -> Response:
        """Read verdict, gates, changes and everything measured; ``missing`` names what could not be, and why."""
        del request
        return self.answer(number)


class PromotionRetry(_Reviewed):
    """A failed evaluation, once more."""

    reads = PromotionRequest
    permissions = {"POST": P.PROMOTION_REQUEST}

    @extend_schema(operation_id="promotions_retry", tags=TAGS, request=None, responses={202: OpenApiTypes.OBJECT})
    def post(self, request: Request, number: int) -> Response:
        """Have a failed evaluation made again; 409 when it did not fail or somebody has decided."""
        del request
        rows = self.rows().in_project(self.project).with_subject()
        evidence.retry(self.actor, request=self.find(rows, pk=min(number, 2**62)))
        return self.answer(number, status=202)
