"""What a trial may not make worse, whatever it is tried for: judged as a rollout judges a canary."""

from datetime import datetime, timedelta

from deployments.models import EndpointRevision, Trial
from deployments.services import outcomes
from deployments.traffic import criteria
from deployments.traffic.criteria import Criterion, Pair, Seen

CONTROL, TREATMENT = "control", "treatment"
WINDOW = timedelta(minutes=5)
SHIPPED = timedelta(minutes=1)  # a minute is whole in the log a little after its end


def of(trial: Trial, now: datetime) -> list[Criterion]:
    """Judge loading, errors, latency and outputs of the treatment beside the control; five queries."""
    sources = list(EndpointRevision.objects.filter(trial=trial).values_list("pk", flat=True))
    end = now.replace(second=0, microsecond=0) - SHIPPED
    windows = [
        _pair(outcomes.distributions(sources, since=start, until=start + WINDOW))
        for start in (end - 2 * WINDOW, end - WINDOW)
    ]
    return criteria.guard(_pair(outcomes.seen(sources)), windows)


def broken(trial: Trial, now: datetime) -> str:
    """Say which guardrail the treatment broke, empty when none."""
    worse = next((one for one in of(trial, now) if one.state == criteria.ABORT), None)
    return f"A guardrail is broken: {worse.title}, {worse.found}." if worse else ""


def _pair(found: dict[str, Seen]) -> Pair:
    return Pair(found.get(CONTROL) or Seen(), found.get(TREATMENT) or Seen())
