"""Keep a decision threshold with the evidence of a promotion."""

from django.http import HttpRequest, HttpResponse

from deployments.models import PromotionRequest
from deployments.services import thresholds
from deployments.views import costs
from deployments.views.answers import see
from deployments.views.promotions import OneRequest, address
from mlportal.lib.errors import DomainError
from projects.permissions import Permission


class PromotionThreshold(OneRequest):
    """Keep a threshold with the evidence."""

    reads = PromotionRequest
    permission = Permission.PROMOTION_SIGN

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """Keep what was weighed."""
        held = self.load(number)
        try:
            thresholds.choose(self.actor, request=held, asked=costs.read(request.POST, thresholds.usual(held)))
        except DomainError as error:
            if error.status == 403:
                raise
            return self.show(number, error=error, status=409 if error.status == 409 else 422)
        return see(f"{address(held)}#cost")
