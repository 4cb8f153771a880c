"""Explain single predictions of a version, in a process of its own.

Run as ``python -m deployments.proof.explaining``: it reads the question as JSON from its standard input and writes one
JSON line a step of progress, the last with the result.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deployments.proof import explain

ROWS = 50
MOST_COLUMNS = 30
CURVES = 6
EXAMPLES = 5
OTHERS = "other columns"
UNTOLD = "•••"
Json = dict[str, Any]


def study(model: Any, frame: pd.DataFrame, columns: list[str], asked: pd.DataFrame | None = None) -> Json:
    """Explain the first rows, and say how the output depends on the columns that add most.

    Parameters
    ----------
    model
        A fitted model that takes the raw columns.
    frame
        Held-out or example rows.
    columns
        Raw columns the model takes.
    asked
        Rows to explain instead of the first ones of ``frame``.

    Returns
    -------
    dict
        ``method``, ``scale``, ``why``, ``class``; ``columns``, at most 30 by mean absolute contribution, the rest
        summed as "other columns"; ``rows`` with ``values`` as text, ``contributions``, ``base``, ``output``,
        ``prediction``; and ``partial_dependence``.
    """
    features = frame[columns]
    rows = features.head(ROWS).reset_index(drop=True) if asked is None else asked[columns]
    told = contributed(model, rows, features)
    names = [name for name in told["columns"] if name != OTHERS]
    return {**told, "partial_dependence": explain.dependence(explain.output_of(model), features, names[:CURVES])}


def examples(model: Any, features: pd.DataFrame, secret: list[str]) -> Json:
    """Explain a handful of rows, from the one with the lowest output to the one with the highest.

    Parameters
    ----------
    model
        A fitted model that takes the raw columns.
    features
        Held-out rows in these columns; of more than 1,000 a seeded sample is looked at.
    secret
        Columns whose values must not be told.

    Returns
    -------
    dict
        As :func:`study`, without ``partial_dependence``.
    """
    seen = features.iloc[np.random.default_rng(explain.SEED).permutation(len(features))[: explain.IMPORTANCE_ROWS]]
    order = np.argsort(explain.output_of(model)(seen), kind="stable")
    picks = order[np.unique(np.linspace(0, len(order) - 1, EXAMPLES).round().astype(int))]
    told = contributed(model, seen.iloc[picks].reset_index(drop=True), features)
    hidden = [name in secret for name in told["columns"]]
    for row in told["rows"]:
        row["values"] = [UNTOLD if hide else value for hide, value in zip(hidden, row["values"], strict=False)]
    return told


def contributed(model: Any, rows: pd.DataFrame, background: pd.DataFrame) -> Json:
    """Return what each column adds to the output of each row, as plain data; see :func:`study`."""
    found = explain.contributions(model, rows, background)
    order = np.argsort(-np.abs(found.values).mean(axis=0), kind="stable")
    shown, rest = order[:MOST_COLUMNS], order[MOST_COLUMNS:]
    values = np.column_stack([found.values[:, shown], *([found.values[:, rest].sum(axis=1)] if len(rest) else [])])
    said = model.predict(rows)
    names = [str(rows.columns[place]) for place in shown]
    classes = getattr(model, "classes_", None)
    return {
        "method": found.method, "scale": found.scale, "why": found.why,
        "class": None if classes is None else str(classes[-1]),
        "columns": [*names, *([OTHERS] if len(rest) else [])],
        "rows": [
            {
                "values": [_word(rows[name].iloc[at]) for name in names], "contributions": values[at].tolist(),
                "base": float(found.base[at]), "output": float(found.outputs[at]), "prediction": str(said[at]),
            }
            for at in range(len(rows))
        ],
    }  # fmt: skip


def alike(values: list[list[Any]], frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return rows as they were logged in the types of other rows of the same columns."""
    out = {}
    for place, name in enumerate(columns):
        held, kind = pd.Series([row[place] for row in values], dtype=object), frame[name].dtype
        if pd.api.types.is_datetime64_any_dtype(kind):
            out[name] = pd.to_datetime(held, utc=True, format="ISO8601").astype(kind)
        elif pd.api.types.is_numeric_dtype(kind):
            out[name] = pd.to_numeric(held.astype(float)).astype(float)
        else:
            out[name] = held.where(held.notna(), np.nan)
    return pd.DataFrame(out, columns=columns)


def _word(value: Any) -> str:
    if pd.isna(value):
        return "empty"
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)[:80]


def main() -> None:
    """Answer the question on standard input."""
    from mlportal.lib import modelfile

    asked = json.load(sys.stdin)
    _tell({"progress": 0.1})
    model = modelfile.load(Path(asked["model"]))
    if asked["rows"] is not None:
        frame = pd.read_parquet(asked["rows"])
    else:
        frame = pd.DataFrame(asked["examples"], columns=asked["columns"])
    _tell({"progress": 0.3})
    rows = alike(asked["asked"], frame, asked["columns"]) if asked.get("asked") else None
    _tell({"result": study(model, frame, asked["columns"], rows)})


def _tell(line: Json) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
