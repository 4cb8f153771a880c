"""Explanations on the page of a version: what each column adds to one prediction, and how the output depends on it."""

import json
from typing import Any

from deployments.models import ModelVersion
from deployments.services import explanations
from projects.actor import Actor

METHODS = {
    "linear": "Exact for a linear model: coefficient times distance from the mean.",
    "tree": "SHAP values of the trees, exact for the model's own paths.",
    "permutation": "Shapley values estimated by 10 orders of the raw columns; they add up exactly.",
}
SHOWN = 15
CURVES = 3
MOST_IMPORTANT = 10
LARGEST = 1e300
Json = dict[str, Any]


def card(by: Actor, version: ModelVersion, asked: str = "") -> Json:
    """Return what the card shows: nothing yet, progress, a failure, or one row's contributions.

    Parameters
    ----------
    asked
        Number of the row as the address gives it, from 1.
    """
    work = explanations.found(by, version=version)
    known = {"work": work, "importance": importance(version.importance)}
    if work is None or work.result is None:
        return known
    return {**known, **shown(explanations.readable(by, version=version, result=work.result), asked)}


def shown(result: Json, asked: str) -> Json:
    """Return one row as bars and table, largest first, and the dependence curves."""
    rows = result["rows"]
    number = int(asked) if asked.isascii() and asked.isdigit() and 1 <= int(asked[:6]) <= len(rows) else 1
    row = rows[number - 1]
    values = [*row["values"], *[""] * (len(result["columns"]) - len(row["values"]))]
    lines = [
        {"column": name, "value": value, "adds": adds}
        for name, value, adds in zip(result["columns"], values, row["contributions"], strict=True)
    ]
    lines.sort(key=lambda line: -abs(float(line["adds"])))
    top = list(reversed(lines[:SHOWN]))
    finding = f"Row {number}: {lines[0]['column']} moves the {result['scale']} most, by {lines[0]['adds']:+.3g}."
    figure = {
        "kind": "bars", "xt": f"Added to the {result['scale']}", "labels": [_label(line) for line in top],
        "values": [line["adds"] for line in top], "label": finding,
    }  # fmt: skip
    return {
        "number": number, "numbers": range(1, len(rows) + 1), "row": row, "lines": lines, "finding": finding,
        "figure": json.dumps(figure), "method": METHODS[result["method"]], "scale": result["scale"],
        "why": result["why"], "class": result["class"], "curves": curves(result["partial_dependence"]),
    }  # fmt: skip


def _label(line: Json) -> str:
    return f"{line['column']} = {line['value']}"[:40] if line["value"] else str(line["column"])


def importance(rows: list[Any]) -> Json | None:
    """Return permutation importance as bars, the largest on top; None without any. A run may have logged anything."""
    known = sorted(filter(_is_line, rows), key=lambda row: row["mean"])[-MOST_IMPORTANT:]
    if not known:
        return None
    labels = [row["feature"][:80] for row in known]
    bars = {
        "kind": "bars", "xt": "Loss of score when shuffled", "labels": labels, "values": [row["mean"] for row in known],
        "errors": [row["std"] for row in known], "label": f"{labels[-1]} matters most.",
    }  # fmt: skip
    return {"bars": json.dumps(bars), "top": labels[-1]}


def _is_line(row: Any) -> bool:
    """Whether it names a feature and has two numbers that a chart can draw; a whole one may have any length."""
    return (
        isinstance(row, dict)
        and isinstance(row.get("feature"), str)
        and all(isinstance(row.get(name), int | float) and abs(row[name]) <= LARGEST for name in ("mean", "std"))
    )


def curves(found: list[Json]) -> list[Json]:
    """Return partial dependence as lines for numbers, as bars for words."""
    out = []
    for place, curve in enumerate(found[:CURVES]):
        words = f"Mean output from {min(curve['mean']):.3g} to {max(curve['mean']):.3g} over {curve['feature']}."
        figure: Json = {"kind": "bars", "xt": "Mean output", "labels": curve["grid"], "values": curve["mean"]}
        if curve["kind"] == "numeric":
            line = {"name": curve["feature"], "k": 1, "dash": 0, "marks": False, "x": curve["grid"], "y": curve["mean"]}
            figure = {"kind": "lines", "xt": curve["feature"], "yt": "Mean output", "lines": [line]}
        out.append({
            "id": f"d-curve-{place}", "kind": figure["kind"], "feature": curve["feature"], "words": words,
            "figure": json.dumps({**figure, "label": words}),
        })  # fmt: skip
    return out
