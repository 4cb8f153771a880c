"""Threshold and costs on the review page: the curve, and one threshold weighed."""

import json
from typing import Any

from django.http import QueryDict

from deployments.models import PromotionRequest, ThresholdChoice
from deployments.proof.rules import plain_number, signed
from deployments.services import thresholds
from deployments.services.thresholds import Asked
from mlportal.lib.errors import Invalid

NAMES = ("threshold", "false_positive", "false_negative")
Json = dict[str, Any]


def read(given: QueryDict, usual: Asked) -> Asked:
    """Read what the address or a form asks for; what it leaves out is as usual."""
    values = {name: given.get(name, "").strip() for name in NAMES}
    return Asked(**{name: _number(text) if text else getattr(usual, name) for name, text in values.items()})


def card(request: PromotionRequest, found: Json, given: QueryDict) -> Json | None:
    """Return what the card shows, None when the evaluation counted nothing by threshold."""
    if not found.get("threshold"):
        return None
    asked, trouble = thresholds.usual(request), ""
    try:
        asked = thresholds.checked(read(given, asked))
    except Invalid as error:
        trouble = error.message
    weighed = thresholds.weigh(found, asked)
    assert weighed is not None
    lines = [("candidate", request.version.label, weighed["candidate"])]
    if weighed["baseline"] and request.baseline:
        lines.append(("baseline", f"{request.baseline.label} production", weighed["baseline"]))
    words = _words(weighed, asked)
    figure = {
        "kind": "lines", "xt": "Threshold", "yt": "Expected cost of a row", "label": words,
        "lines": [
            {"name": name, "k": place + 1, "dash": place, "marks": False, "x": weighed["grid"], "y": values}
            for place, (_, name, values) in enumerate(lines)
        ],
    }  # fmt: skip
    chosen = ThresholdChoice.objects.filter(request=request).select_related("chosen_by")
    ruled = thresholds.stated(request)
    return {
        "ruled": ruled, "may_keep": ruled is None or ruled.costs == asked.costs,
        "asked": asked, "trouble": trouble, "words": words, "figure": json.dumps(figure), "best": weighed["best"],
        "positive": weighed["positive"], "rows": [_line(weighed["at"][side], name) for side, name, _ in lines],
        "difference": _difference(weighed["at"]["difference"]), "kept": chosen.first(),
    }  # fmt: skip


def _words(weighed: Json, asked: Asked) -> str:
    ours = weighed["at"]["candidate"]["value"]
    words = f"At {asked.threshold:g} a row costs {plain_number(ours)}; least at {weighed['best']:g}"
    return f"{words} with {plain_number(weighed['best_cost'])}."


def _line(side: Json, name: str) -> Json:
    return {
        "name": name, "cost": plain_number(side["value"]),
        "range": f"{plain_number(side['low'])} to {plain_number(side['high'])}",
        "false_positives": side["false_positives"], "false_negatives": side["false_negatives"],
    }  # fmt: skip


def _difference(side: Json | None) -> Json | None:
    if side is None:
        return None
    tone = "up" if side["high"] < 0 else "down" if side["low"] > 0 else ""
    return {
        "change": signed(side["value"]), "range": f"{signed(side['low'])} to {signed(side['high'])}", "tone": tone,
        "word": {"up": "cheaper", "down": "dearer"}.get(tone, "no clear difference"),
    }  # fmt: skip


def _number(text: str) -> Any:
    """Read a number; a text that is none goes on and is refused by its name."""
    try:
        return float(text)
    except ValueError:
        return text
