"""The decision threshold of a binary classifier: what it costs on the rows of the evaluation, and which was chosen."""

import math
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from deployments.models import PromotionRequest, ThresholdChoice
from deployments.proof import rules, rules_catalogue, rules_metrics
from deployments.proof import threshold as engine
from deployments.proof.threshold import Costs
from deployments.services import holds
from mlportal.lib.errors import Conflict, Invalid
from projects.actor import Actor
from projects.permissions import Permission, require
from projects.services import events

MOST = rules_catalogue.MOST_COST
Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A threshold and what mistakes cost."""

    threshold: float = engine.USUAL
    false_positive: float = 1.0
    false_negative: float = 1.0

    @property
    def costs(self) -> Costs:
        """The costs alone."""
        return Costs(self.false_positive, self.false_negative)


def checked(given: Asked) -> Asked:
    """Refuse what is no threshold or no cost; the threshold is rounded to hundredths, as they were counted.

    Raises
    ------
    Invalid
        Naming the value.
    """
    for name, most in (("threshold", 1.0), ("false_positive", MOST), ("false_negative", MOST)):
        value = getattr(given, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise Invalid(f"{name} must be a number.", field=name, limit=most, got=str(value)[:50])
        if not 0 <= value <= most:
            raise Invalid(
                f"{name} must lie between 0 and {most:g}. It was {value:g}.", field=name, limit=most, got=value
            )
    if not given.false_positive and not given.false_negative:
        raise Invalid("One of both mistakes must cost something.", field="false_positive", got=0)
    step = engine.place(given.threshold) / engine.STEPS
    return Asked(step, float(given.false_positive), float(given.false_negative))


def stated(request: PromotionRequest) -> Asked | None:
    """Return what the rules of a request say mistakes cost, and at which threshold; None when they do not."""
    gate = next((gate for gate in rules.parse(request.policy.gates) if gate.kind == "expected_cost"), None)
    return Asked(gate.threshold, gate.false_positive, gate.false_negative) if gate else None


def usual(request: PromotionRequest) -> Asked:
    """Return what to begin with: chosen for this request, else its rules, else the costs last chosen, else 1 each."""
    last = ThresholdChoice.objects.filter(request=request).first()
    if last is not None:
        return Asked(last.threshold, last.false_positive, last.false_negative)
    if (ruled := stated(request)) is not None:
        return ruled
    rows = ThresholdChoice.objects.filter(
        request__version__model=request.version.model_id, request__environment=request.environment_id
    )
    before = rows.first()
    return Asked(engine.USUAL, before.false_positive, before.false_negative) if before else Asked()


def weigh(found: Json, asked: Asked) -> Json | None:
    """Say what a threshold costs by the counts an evaluation kept; None when it kept none.

    Returns
    -------
    dict
        ``grid``, ``candidate`` and ``baseline`` (cost at each threshold), ``at`` (:func:`engine.at`), ``best``
        (threshold at which the candidate costs least, nearest to one half), ``usual`` (cost at one half).
    """
    kept = found.get("threshold")
    if not kept:
        return None
    compared = bool(kept["compared"])
    ours = engine.curve(kept["cells"], asked.costs, production=False)
    best = min(range(len(ours)), key=lambda step: (ours[step], abs(step - engine.place(engine.USUAL))))
    cells = kept["cells"][engine.place(asked.threshold)]
    return {
        "positive": kept["positive"], "rows": sum(kept["cells"][0]),
        "grid": [step / engine.STEPS for step in range(engine.STEPS + 1)], "candidate": ours,
        "baseline": engine.curve(kept["cells"], asked.costs, production=True) if compared else None,
        "at": engine.at(cells, asked.costs, compared=compared, seed=rules_metrics.SEED),
        "best": best / engine.STEPS, "best_cost": ours[best], "usual": ours[engine.place(engine.USUAL)],
    }  # fmt: skip


def choose(by: Actor, *, request: PromotionRequest, asked: Asked) -> ThresholdChoice:
    """Keep a threshold with the evidence of an open request.

    It is a record: an endpoint answers with the more probable class, whatever was chosen.

    Raises
    ------
    Invalid
        Naming the value that is no threshold or no cost.
    Conflict
        When the request is closed, its evaluation counted nothing by threshold, or its rules state other costs.
    """
    require(by, Permission.PROMOTION_SIGN, request.project)
    wanted = checked(asked)
    with transaction.atomic():
        held = holds.lock(request)
        if not held.is_pending:
            raise holds.closed_error(held)
        _as_stated(held, wanted)
        weighed = weigh(held.evaluation.result or {}, wanted)
        if weighed is None:
            raise Conflict("The evaluation has no counts by threshold for this model.", code="no_threshold")
        made = ThresholdChoice.objects.create(
            request=held, threshold=wanted.threshold, false_positive=wanted.false_positive,
            false_negative=wanted.false_negative, found=weighed["at"], chosen_by=by.user,
        )  # fmt: skip
        events.record(
            by, "promotion.threshold_chosen", project=held.project, target=held,
            data={
                "choice": made.pk, "threshold": made.threshold, "false_positive": made.false_positive,
                "false_negative": made.false_negative, "cost": weighed["at"]["candidate"]["value"],
            },
        )  # fmt: skip
    return made


def _as_stated(request: PromotionRequest, asked: Asked) -> None:
    """Refuse to keep a threshold that was weighed by other costs than those of the rules."""
    ruled = stated(request)
    if ruled is not None and ruled.costs != asked.costs:
        text = (
            f"The rules of {request.environment} say what mistakes cost: {ruled.false_positive:g} a false positive, "
            f"{ruled.false_negative:g} a false negative. A threshold is kept by these."
        )
        raise Conflict(text, code="costs_are_ruled", field="false_positive")
