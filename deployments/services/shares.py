"""The share of an endpoint's requests that an approval allows a version: kept at the door, and measured."""

from datetime import datetime, timedelta

from django.db.models import Q

from deployments.models import Condition, EndpointRevision, PromotionRequest
from deployments.services import outcomes
from deployments.traffic import evidence

# A split at the very limit is over it half of the time; looked at each minute, so chance has to be very unlikely.
ALPHA = 1e-6
HOUR = timedelta(hours=1)
BESIDE = ("canary", "treatment")
SHADOW = "shadow"


def over(request: PromotionRequest, share: float) -> str:
    """Say that an approval does not allow a version this share of the requests, empty when it does.

    Parameters
    ----------
    share
        From 0 to 1.
    """
    bound = Condition.objects.filter(request=request, kind=Condition.Kind.SHARE).order_by("limit").first()
    if bound is None or bound.limit is None or share <= bound.limit / 100:
        return ""
    return f"The approval of promotion {request.pk} holds for {bound.words} only. Ask again for more."


def broken(item: Condition, *, now: datetime) -> str:
    """Say what was measured in the hour before, when it is over the limit by more than chance; else empty.

    What the split sends is within the limit; callers who may deploy can choose the variant, and units differ in size.
    """
    assert item.limit is not None  # the database asks for it
    ours, total = measured(item.request, since=now - HOUR)
    limit = item.limit / 100
    if ours <= limit * total or evidence.mismatch(ours, total - ours, limit) >= ALPHA:
        return ""
    return f"{ours:,} of {total:,} requests in this hour ({ours / total:.1%})."


def measured(request: PromotionRequest, *, since: datetime) -> tuple[int, int]:
    """Count the requests that a version got while it shared an endpoint, and all of them."""
    divided = Q(rollout__promotion=request) | Q(trial__promotion=request)
    sources = list(EndpointRevision.objects.filter(divided).values_list("pk", flat=True))
    found = outcomes.seen(sources, since=since) if sources else {}
    counts = {variant: seen.requests for variant, seen in found.items() if variant != SHADOW}
    return sum(counts.get(name, 0) for name in BESIDE), sum(counts.values())
