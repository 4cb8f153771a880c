"""Values that a plan of a rollout may have."""

import math
from collections.abc import Sequence
from typing import Any

from mlportal.lib.errors import Invalid

MOST_STEPS = 20
MINUTES = (1, 10_080)
REQUESTS = (10, 10_000_000)
DEFAULT_MINUTES, DEFAULT_REQUESTS = 10, 500
DEFAULT_SHARES = (0.01, 0.05, 0.25, 0.5, 1.0)
FIELDS = frozenset({"share", "minutes", "requests"})


def default_steps() -> list[dict[str, Any]]:
    """Return 1, 5, 25, 50 and 100 %, each at least ten minutes and 500 requests."""
    return [{"share": share, "minutes": DEFAULT_MINUTES, "requests": DEFAULT_REQUESTS} for share in DEFAULT_SHARES]


def checked_steps(given: Sequence[Any] | None) -> list[dict[str, Any]]:
    """Return the steps with what was left out filled in.

    Raises
    ------
    Invalid
        Naming the step, the field and its limit.
    """
    if given is None:
        return default_steps()
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= MOST_STEPS:
        raise Invalid(f"steps must be a list of 1 to {MOST_STEPS}.", field="steps", limit=MOST_STEPS)
    steps = [_step(item, place) for place, item in enumerate(given, start=1)]
    shares = [step["share"] for step in steps]
    if shares != sorted(set(shares)):
        raise Invalid("The shares of the steps must grow.", field="steps", got=shares)
    if shares[-1] < 1:
        steps.append({"share": 1.0, "minutes": steps[-1]["minutes"], "requests": steps[-1]["requests"]})
    return steps


def checked_margin(given: object) -> float:
    """Return how much worse a labelled metric may be.

    Raises
    ------
    Invalid
        When it is no number of 0 or more.
    """
    plain = isinstance(given, int | float) and not isinstance(given, bool)
    if not plain or not math.isfinite(given) or not 0 <= given <= 1e9:  # type: ignore[operator,arg-type]
        raise Invalid("label_margin must be a number of 0 or more.", field="label_margin", got=str(given)[:50])
    return float(given)  # type: ignore[arg-type]


def _step(item: object, place: int) -> dict[str, Any]:
    if not isinstance(item, dict) or not item.keys() <= FIELDS or "share" not in item:
        raise Invalid(
            f"Step {place} must be an object of share, minutes and requests.", field="steps", got=str(item)[:100]
        )
    share = item["share"]
    plain = isinstance(share, int | float) and not isinstance(share, bool)
    if not plain or not 0 < share <= 1:
        raise Invalid(f"Step {place}: share must be over 0 and at most 1.", field="steps", limit=1, got=str(share)[:50])
    return {
        "share": float(share), "minutes": _whole(item, "minutes", place, DEFAULT_MINUTES, MINUTES),
        "requests": _whole(item, "requests", place, DEFAULT_REQUESTS, REQUESTS),
    }  # fmt: skip


def _whole(item: dict[str, Any], name: str, place: int, default: int, limits: tuple[int, int]) -> int:
    value = item.get(name, default)
    if type(value) is not int or not limits[0] <= value <= limits[1]:
        raise Invalid(
            f"Step {place}: {name} must be {limits[0]:,} to {limits[1]:,}.", field="steps", limit=limits[1],
            got=str(value)[:50],
        )  # fmt: skip
    return value
