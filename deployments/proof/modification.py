"""Changes between two technical files that may make a system substantially modified (EU AI Act, article 3(23))."""

from collections.abc import Mapping
from typing import Any

from deployments.proof.papers import cell

Json = Mapping[str, Any]


def reasons(old: Json, new: Json) -> list[str]:
    """Say in words why a change may be substantial; a person decides whether it is.

    Parameters
    ----------
    old, new
        ``facts`` of two files: ``purpose``, ``dataset``, ``dataset_sha256``, ``algorithm`` and ``metrics`` as
        ``{key: {"value", "low", "high"}}``.

    Returns
    -------
    list of str
        Sentences: purpose, data, algorithm, then each metric whose new value lies outside its old 95 % interval. A
        metric without an interval counts as soon as it differs.
    """
    out = []
    if old["purpose"].strip() != new["purpose"].strip():
        out.append("The intended purpose has changed.")
    if (old["dataset"], old["dataset_sha256"]) != (new["dataset"], new["dataset_sha256"]):
        out.append(f"It learned from other data: {old['dataset'] or 'none'} before, {new['dataset'] or 'none'} now.")
    if old["algorithm"] != new["algorithm"]:
        out.append(f"The algorithm has changed: {old['algorithm'] or 'none'} before, {new['algorithm'] or 'none'} now.")
    return out + [
        f"{key} went from {_words(was)} to {cell(float(new['metrics'][key]['value']))}."
        for key, was in old["metrics"].items()
        if key in new["metrics"] and _beyond(was, new["metrics"][key])
    ]


def _beyond(was: Json, now: Json) -> bool:
    if was["low"] is None or was["high"] is None:
        return bool(was["value"] != now["value"])
    return not was["low"] <= now["value"] <= was["high"]


def _words(was: Json) -> str:
    value = cell(float(was["value"]))
    if was["low"] is None or was["high"] is None:
        return f"{value} (no interval known)"
    return f"{value} ({cell(float(was['low']))} to {cell(float(was['high']))})"
