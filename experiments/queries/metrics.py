"""What a metric's name tells: its label, its unit, which way is better, which come first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from experiments import metricstore
from experiments.training import catalogue

from .places import Place, hints_of, runs_of

_LOWER_IS_BETTER = ("loss", "error", "rmse", "mse", "mae", "mape", "brier", "median_ae", "seconds", "_ms", "latency")
_HIGHER_IS_BETTER = ("acc", "auc", "f1", "score", "precision", "recall", "iou", "dice", "r2", "bleu", "rouge", "map",
                     "ndcg", "reward", "psnr", "ssim", "mcc", "kappa", "hit")  # fmt: skip
_WORD = re.compile(r"[^\W_]+")
# By which runs are ranked where nobody said it: the first of these that they have.
USUAL = (
    *catalogue.PRIMARY_METRIC.values(),
    "auc",
    "val_auc",
    "accuracy",
    "val_accuracy",
    "f1",
    "r2",
    "val_loss",
    "loss",
)
SYSTEM = "system/"  # what clients log of the machine, not of the model
ALL_AT_MOST = 200
LOOKED_AT_RUNS = 3
_UNITS = {"ms": "ms", "us": "µs", "seconds": "s", "secs": "s", "sec": "s", "minutes": "min", "hours": "h",
          "bytes": "B", "mb": "MB", "gb": "GB", "megabytes": "MB", "percent": "%", "percentage": "%", "pct": "%",
          "celsius": "°C", "watts": "W"}  # fmt: skip


@lru_cache(maxsize=16_384)
def higher_is_better(metric: str) -> bool:
    """Whether more of a metric is better; not of unknown names that sound like a loss, and of no spread."""
    if _is_spread(metric.lower()):
        return False
    name = metric.rpartition("/")[2]
    known = catalogue.METRICS.get(name) or catalogue.METRICS.get(name.removeprefix("val_").removeprefix("train_"))
    if known:
        return known["better"] == "higher"
    return not any(word in name.lower() for word in _LOWER_IS_BETTER)


def _is_spread(words: str) -> bool:
    """Whether it tells how far a quality lay apart, as over folds: less is better, whichever way the quality is."""
    if "std" not in words:  # nearly all
        return False
    has_way = any(word in words for word in (*_HIGHER_IS_BETTER, *_LOWER_IS_BETTER))
    return has_way and "std" in _WORD.findall(words)


@lru_cache(maxsize=16_384)
def arrow_of(metric: str) -> str:
    """Which way is better, as an arrow; empty where the name does not tell, as for a learning rate."""
    words = metric.lower()
    name = words.rpartition("/")[2]
    known = catalogue.METRICS.get(name) or catalogue.METRICS.get(name.removeprefix("val_").removeprefix("train_"))
    if known or any(word in name for word in _HIGHER_IS_BETTER):
        return "↑" if higher_is_better(metric) else "↓"
    return "" if higher_is_better(metric) else "↓"


def label_of(metric: str) -> str:
    """A metric's name for people; names we do not know stay as they are."""
    known = catalogue.METRICS.get(metric)
    return known["label"] if known else metric


def unit_of(metric: str) -> str:
    """The unit that the last word of a metric's name says, empty where it says none."""
    words = metric.rpartition("/")[2].lower().replace("-", "_").split("_")
    return _UNITS.get(words[-1], "") if len(words) > 1 else ""


def default_metrics(place: Place, known: Sequence[str]) -> list[str]:
    """Order metrics for people: the primary first, then the catalogue's order, folds and the machine's last."""
    rank = {name: i for i, name in enumerate(catalogue.METRICS)}
    primary = place.primary_metric or next((m for m in USUAL if m in known), "")
    return sorted(known, key=lambda m: (m != primary, _class_of(m), rank.get(m, len(rank)), m))


def _class_of(metric: str) -> int:
    """What people look at first: results, then results on the training rows, numbers that judge nothing, folds."""
    if metric.startswith(SYSTEM):
        return 4
    if metric.startswith("cv/"):
        return 3
    if not arrow_of(metric):
        return 2
    return 1 if metric.lower().startswith("train") else 0


def leading_metrics(place: Place) -> list[str]:
    """Return the metrics people look at first, best known first, at a cost that does not grow with their number.

    Up to 200 metrics of an experiment are all put in order. Of more, and of several experiments, those are that
    people named: the primary one, those of the catalogue, and what the newest runs logged.
    """
    scope = hints_of(place)
    names = metricstore.some(scope, "metric", ALL_AT_MOST + 1) if scope.is_single else []
    if scope.is_single and len(names) <= ALL_AT_MOST:
        return default_metrics(place, names)
    named = [place.primary_metric, *catalogue.METRICS, *USUAL]
    known = metricstore.have(scope, "metric", dict.fromkeys(n for n in named if n))
    newest = runs_of(place).active().order_by("-started_ms", "-pk")[:LOOKED_AT_RUNS]
    of_runs = metricstore.names_of(list(newest.values_list("pk", flat=True)), ALL_AT_MOST)
    return default_metrics(place, list(dict.fromkeys([*known, *of_runs])))
