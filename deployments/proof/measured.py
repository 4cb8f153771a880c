"""Read the stored result of an evaluation into the shapes that gates judge; what is absent is no evidence."""

from collections.abc import Mapping
from typing import Any

from deployments.proof.rules_shapes import LOWER_RATES, RATES, Better, Decisions, Groups, Metric, Segment
from experiments.training.catalogue import METRICS, PRIMARY_METRIC

BETTER: Mapping[str, str] = {key: entry["better"] for key, entry in METRICS.items()}


def metrics(result: Mapping[str, Any]) -> tuple[Metric, ...]:
    """Read the comparison over all held-out rows."""
    return tuple(_metric(row["metric"], row, "production") for row in result.get("metrics", []))


def primary(chosen: str, task: str) -> str:
    """Return the metric a version is judged by first: what its run chose, else that of its task."""
    return chosen if chosen in METRICS else PRIMARY_METRIC.get(task, "")


def segments(result: Mapping[str, Any]) -> tuple[Segment, ...]:
    """Read the comparison by segment."""
    return tuple(
        Segment(
            str(row["column"]), str(row["value"]), int(row["rows"]),
            tuple(
                _metric(key, found, "baseline")
                for key, found in row["metrics"].items()
                if found.get("candidate") is not None
            ),
        )
        for row in result.get("segments") or []
    )  # fmt: skip


def groups(result: Mapping[str, Any]) -> tuple[Groups, ...]:
    """Read the candidate's rates by group, and how they differ from production's."""
    return tuple(
        Groups(
            str(row["column"]), _rates(row.get("groups") or []), (row.get("selection_ratio") or {}).get("candidate"),
            {str(group["value"]): _changes(group) for group in row.get("groups") or []},
        )
        for row in result.get("fairness") or []
    )  # fmt: skip


def decisions(result: Mapping[str, Any]) -> Decisions | None:
    """Read who said positive at each threshold."""
    kept = result.get("threshold")
    return Decisions(kept["cells"], bool(kept["compared"])) if kept else None


def latency(result: Mapping[str, Any]) -> dict[str, float]:
    """Read the candidate's time of one row in milliseconds by quantile: p50, p95, p99 as far as measured."""
    found = (result.get("latency") or {}).get("candidate") or {}
    taken = {name: found[f"{name}_ms"] for name in ("p50", "p95", "p99") if found.get(f"{name}_ms") is not None}
    single = result.get("latency_ms")
    return taken if single is None else {"p99": single, **taken}


def missing(result: Mapping[str, Any]) -> dict[str, str]:
    """Read why parts of the evaluation are not there, by part."""
    return {str(row["part"]): str(row["why"]) for row in result.get("missing") or []}


def _metric(key: str, row: Mapping[str, Any], rival: str) -> Metric:
    return Metric(
        key=key,
        label=METRICS[key]["label"] if key in METRICS else key,
        better="lower" if BETTER.get(key) == "lower" else "higher",
        candidate=row["candidate"],
        production=row.get(rival),
        difference=row.get("difference"),
        low=row.get("low"),
        high=row.get("high"),
    )


def _changes(group: Mapping[str, Any]) -> tuple[Metric, ...]:
    """Read the rates of one group against production; a rate without a denominator is left out.

    Evidence from before differences were measured holds both rates and no interval of their difference.
    """
    ours, theirs, changes = group.get("candidate") or {}, group.get("baseline") or {}, group.get("difference") or {}
    found = []
    for measure, label in RATES.items():
        candidate, production, change = _value(ours, measure), _value(theirs, measure), changes.get(measure) or {}
        if candidate is None:
            continue
        gained = change.get("value")
        if gained is None and production is not None:
            gained = candidate - production
        better: Better = "lower" if measure in LOWER_RATES else "higher"
        found.append(
            Metric(measure, label, better, candidate, production, gained, change.get("low"), change.get("high"))
        )
    return tuple(found)


def _value(rates: Mapping[str, Any], measure: str) -> float | None:
    rate = rates.get(measure)
    return rate.get("value") if isinstance(rate, dict) else rate


def _rates(rows: list[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        for measure in row.get("candidate") or {}:
            if (value := _value(row["candidate"], measure)) is not None:
                found.setdefault(measure, {})[str(row["value"])] = value
    return found
