"""What one person says about a request, checked: verdict, comment, ticks and conditions."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from deployments.models import Decision
from deployments.services import conditions
from mlportal.lib import names
from mlportal.lib.errors import Invalid

Verdict = Decision.Verdict
MIN_COMMENT = 10
MAX_TICKS = 100


@dataclass(frozen=True)
class Vote:
    """What one person says: verdict, comment, the advisory failures they ticked and the conditions they bind."""

    verdict: str
    comment: str
    ticked: list[str]
    terms: list[conditions.Terms]


def read(verdict: object, comment: object, acknowledged: object, terms: Sequence[object]) -> Vote:
    """Check what came from outside.

    Raises
    ------
    Invalid
        Naming the field. A refusal needs a comment of at least 10 characters and takes no conditions.
    """
    chosen = _verdict(verdict)
    least = 0 if chosen == Verdict.APPROVE else MIN_COMMENT
    vote = Vote(
        chosen,
        names.reason(comment, field="comment", least=least),
        _names(acknowledged),
        conditions.parse(terms, now=timezone.now()),
    )
    if vote.terms and chosen != Verdict.APPROVE:
        raise Invalid("Only an approval takes conditions.", field="conditions")
    return vote


def _verdict(given: object) -> str:
    if given not in Verdict.values:
        raise Invalid(
            f"verdict must be one of {', '.join(Verdict.values)}.", field="verdict", limit=Verdict.values,
            got=str(given)[:50],
        )  # fmt: skip
    return str(given)


def _names(given: object) -> list[str]:
    if (
        not isinstance(given, list | tuple)
        or len(given) > MAX_TICKS
        or not all(isinstance(item, str) for item in given)
    ):
        raise Invalid("acknowledged must be a list of gate names.", field="acknowledged")
    return [item[:130] for item in given]
