"""The charts of a comparison as plain data: pages, the API, exports and reports read the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments import charts, metricstore
from experiments.metricstore import Window
from mlportal.lib.errors import Invalid

from . import metrics as named
from .compared import MOST_METRICS, Comparison, Dot, View

MOST_POINTS = 500
FEWEST_POINTS = 8
# All points of one answer: about 2 MB of JSON before it is compressed.
POINTS_AN_ANSWER = 100_000
FIRST_METRICS = 4
AXES = 7
FEWEST_AXES = 3
MOST_AXES = 10
MINUTE = 60_000
EXACT_TENS = 22  # the largest power of ten that a float holds exactly
Json = dict[str, Any]


def label_of(token: str) -> str:
    """A parameter's or metric's name for people."""
    return token[2:] if token.startswith("p.") else named.label_of(token[2:])


def curve_names(made: Comparison) -> list[str]:
    """Metrics whose curves are drawn: those asked for, else the first that judge a run."""
    asked = [m for m in made.view.words("metric", "m") if m in made.metrics]
    if asked:
        return asked[:MOST_METRICS]
    long = [m for m in made.held or made.metrics if not m.startswith("cv/")]
    return (_with_curves(made, long) or long or made.metrics)[:FIRST_METRICS]


def _with_curves(made: Comparison, names: Sequence[str]) -> list[str]:
    """Metrics that a coloured run logged more than once: their segments are short, so one look is cheap."""
    found = metricstore.bundle(made.coloured, names[:24], at_most=3)
    curved = {name for _, name, series in found if series.total > 1}
    return [n for n in names if n in curved]


def finding(made: Comparison, metric: str) -> str:
    """Say what a curve chart shows, for those who do not see it."""
    compared = set(made.compared)
    known = [(dot.metrics[metric], dot) for dot in made.crowd if dot.id in compared and metric in dot.metrics]
    label = named.label_of(metric)
    if not known:
        return f"{label}: none of these runs has values."
    value, dot = (max if named.higher_is_better(metric) else min)(known, key=lambda pair: pair[0])
    return f"{label} of {len(known):,} run{'s' if len(known) != 1 else ''}; run {dot.id} is best with {value:.4g}."


def series(made: Comparison, names: Sequence[str], *, low: float | None = None, high: float | None = None) -> Json:
    """Curves of these metrics of all compared runs: at most 500 points each, fewer when there are many.

    Parameters
    ----------
    low, high : float, optional
        Bounds on the x axis of the view: steps, minutes since the start, or milliseconds.
    """
    axis, ids = made.view.axis, made.compared
    many = max(1, len(ids) * len(names))
    at_most = max(FEWEST_POINTS, min(MOST_POINTS, POINTS_AN_ANSWER // many))
    origins = {pk: made.dots[pk].started_ms for pk in ids} if axis == "rel" else {}
    window = window_of(axis, low, high, origins)
    found: dict[int, dict[str, Json]] = defaultdict(dict)
    for pk, name, part in metricstore.bundle(ids, names, at_most=at_most, window=window):
        found[pk][name] = {"x": _places(part, axis, origins.get(pk, 0)), "y": _short(part.values), "total": part.total}
    made.load(names)
    order = [*made.coloured, *(pk for pk in ids if pk not in made.colours)]
    return {
        "axis": axis, "points": at_most, "labels": {n: finding(made, n) for n in names},
        "runs": [{**made.drawn(made.dots[pk]), "metrics": found[pk]} for pk in order if pk in found],
    }  # fmt: skip


def window_of(axis: str, low: float | None, high: float | None, origins: dict[int, int] | None = None) -> Window | None:
    """The part of curves between two places of an axis, None for the whole of them.

    Raises
    ------
    Invalid
        If the ends are the wrong way round.
    """
    if low is None or high is None:
        return None
    if low > high:
        raise Invalid("from must not be above to.", field="from", got=low, limit=high)
    unit = MINUTE if axis == "rel" else 1
    return Window(low * unit, high * unit, by_step=axis == "step", origins=origins or {})


def _places(part: metricstore.Series, axis: str, origin: int) -> list[float]:
    if axis == "step":
        return part.steps.tolist()
    if axis == "time":
        return part.stamps.tolist()
    return np.round((part.stamps - origin) / MINUTE, 4).tolist()


def _short(values: np.ndarray) -> list[float | None]:
    """Six digits of each value; what is not finite is a gap."""
    sure = np.where(np.isfinite(values) & (values != 0), values, 1.0)
    places = 5 - np.floor(np.log10(np.abs(sure)))
    if np.abs(places).max(initial=0) > EXACT_TENS:
        return [float(f"{v:.6g}") if v - v == 0 else None for v in values.tolist()]
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    short = np.round(values * up / down) * down / up  # exact powers: the quotient is the number the digits write
    return [v if v - v == 0 else None for v in short.tolist()]


def tokens(made: Comparison) -> list[str]:
    """Everything that can be an axis."""
    return [*(f"p.{p}" for p in made.varying), *(f"m.{m}" for m in made.metrics)]


def picked(view: View, name: str, among: Sequence[str], default: str) -> str:
    """The choice of the address if it can be had, else the default."""
    return found if (found := view.get(name)) in among else default


def axes(made: Comparison, every: Sequence[str]) -> list[str]:
    """Axes of the parallel coordinates: those asked for, else what varies and is known of every run, and metrics.

    A run without a value on one axis is left out. So where no parameter is known of every run, the one of most runs
    stands alone, and metrics that no coloured run has are no axes.
    """
    asked = [t for t in made.view.words("axis", "axes") if t in every]
    known = {t: sum(t[2:] in dot.params for dot in made.dots.values()) for t in every if t.startswith("p.")}
    shared = [t for t, runs in known.items() if runs == len(made.dots)]
    params = shared[: AXES - 1] or sorted(known, key=lambda t: -known[t])[:1]
    others = [f"m.{name}" for name in made.held if name != made.primary]
    standard = [
        *params,
        *others[: max(0, FEWEST_AXES - 1 - len(params))],
        *([f"m.{made.primary}"] if made.primary else []),
    ]
    return (asked or standard)[:MOST_AXES]


def plan(made: Comparison) -> dict[str, Any]:
    """Which facts each chart of the runs draws: what the address asks for, else what varies most."""
    every = tokens(made)
    measures = [f"m.{m}" for m in made.metrics]
    params = [t for t in every if t.startswith("p.")]
    values = {t: [d.params[t[2:]] for d in made.dots.values() if t[2:] in d.params] for t in params}
    # What most runs have comes first, in the order of what varies most.
    numeric = sorted((t for t in params if _is_numeric(made, t)), key=lambda t: -len(values[t]))
    parted = sorted(
        (t for t in params if len(set(values[t])) > 1), key=lambda t: (-len(values[t]), len(set(values[t])))
    )
    primary = f"m.{made.primary}"
    return {
        "every": every, "measures": measures, "params": params, "numeric": numeric, "axes": axes(made, every),
        "sx": picked(made.view, "sx", every, every[0] if every else ""), "sy": picked(made.view, "sy", every, primary),
        "cx": picked(made.view, "cx", numeric, numeric[0] if numeric else ""),
        "cy": picked(made.view, "cy", numeric, numeric[1] if len(numeric) > 1 else ""),
        "cz": picked(made.view, "cz", measures, primary),
        "group": picked(made.view, "group", params, parted[0] if parted else ""),
    }  # fmt: skip


def has_surface(made: Comparison, asked: Json) -> bool:
    """Whether a contour can be drawn, or was asked for: then it says why it cannot."""
    x, y = asked["cx"], asked["cy"]
    if not (x and y and made.primary) or made.view.get("cx"):
        return bool(x and y and made.primary)
    both = [(a, b) for d in made.dots.values() if (a := d.fact(x)) is not None and (b := d.fact(y)) is not None]
    return len(both) >= charts.FEWEST and all(len(set(each)) > 1 for each in zip(*both, strict=True))


def _is_numeric(made: Comparison, token: str) -> bool:
    values = [v for d in made.dots.values() if (v := d.fact(token)) is not None]
    return bool(values) and all(charts.number(v) is not None for v in values)


def facts(made: Comparison) -> Json:
    """Parallel coordinates, scatter, contour and boxes of all runs drawn, by one read of their values."""
    asked = plan(made)
    wanted = {asked["sx"], asked["sy"], asked["cz"], f"m.{made.primary}", *asked["axes"]}
    made.load([t[2:] for t in wanted if t.startswith("m.") and len(t) > 2])
    return {
        "parallel": _parallel(made, asked), "scatter": _scatter(made, asked), "contour": _contour(made, asked),
        "boxes": _boxes(made, asked),
    }  # fmt: skip


def _parallel(made: Comparison, asked: Json) -> Json | None:
    names = {t: label_of(t) for t in asked["axes"]}
    if len(names) < 2:
        return None
    rows = [{**made.drawn(d), "values": {t: d.fact(t) for t in names}} for d in made.crowd]
    found = charts.parallel(names, rows)
    for token, dim in zip(names, found["dims"], strict=True):
        dim["field"] = f"{'params' if token[0] == 'p' else 'metrics'}.{token[2:]}"
    found["label"] += f"; {found['left_out']:,} without one of the values left out." if found["left_out"] else "."
    return found


def _points(made: Comparison, *names: str) -> list[tuple[Dot, list[object]]]:
    pairs = ((d, [d.fact(n) for n in names]) for d in made.crowd)
    return [(d, values) for d, values in pairs if all(v is not None for v in values)]


def _scatter(made: Comparison, asked: Json) -> Json | None:
    x, y = asked["sx"], asked["sy"]
    if not x or len(y) < 3:
        return None
    points = [{**made.drawn(d), "x": a, "y": charts.number(b)} for d, (a, b) in _points(made, x, y)]
    points = [p for p in points if p["y"] is not None]
    found = charts.scatter(label_of(x), label_of(y), points)
    return {**found, "label": f"{label_of(y)} by {label_of(x)} for {len(points):,} runs. {_best(points, y, x)}"}


def _best(points: Sequence[Json], token: str, along: str) -> str:
    if not points or not token.startswith("m."):
        return ""
    top = (max if named.higher_is_better(token[2:]) else min)(
        points, key=lambda p: float(p["z"] if "z" in p else p["y"])
    )
    value = top["z"] if "z" in top else top["y"]
    return f"Best is run {top['id']} with {value:.4g} at {label_of(along)} {_words(top['x'])}."


def _words(value: object) -> str:
    found = charts.number(value)
    return str(value) if found is None else f"{found:.4g}"


def _contour(made: Comparison, asked: Json) -> Json | None:
    x, y, z = asked["cx"], asked["cy"], asked["cz"]
    if not x or not y or x == y or len(z) < 3:
        return None
    points = [
        {**made.drawn(d), "x": charts.number(a), "y": charts.number(b), "z": charts.number(c)}
        for d, (a, b, c) in _points(made, x, y, z)
    ]
    found = charts.contour(label_of(x), label_of(y), label_of(z), points)
    if found is None:
        return None
    words = f"{label_of(z)} over {label_of(x)} and {label_of(y)}, interpolated between {len(points):,} runs."
    return {**found, "label": f"{words} {_best(points, z, x)}"}


def _boxes(made: Comparison, asked: Json) -> Json | None:
    name, metric = asked["group"][2:], f"m.{made.primary}"
    groups: dict[str, list[float]] = defaultdict(list)
    for _, (value, measured) in _points(made, f"p.{name}", metric):
        groups[str(value)].append(float(str(measured)))
    if not groups:
        return None
    label = named.label_of(made.primary)
    found = charts.boxes(name, label, groups)
    middles = {g["name"]: float(np.median(g["y"])) for g in found["groups"]}
    best = (max if named.higher_is_better(made.primary) else min)(middles, key=lambda g: middles[g])
    more = f" The first 24 of {len(groups)} values." if len(groups) > len(found["groups"]) else ""
    words = f"Spread of {label} for {len(found['groups'])} values of {name}."
    return {**found, "label": f"{words} The best median is {middles[best]:.4g} at {name} {best}.{more}"}
