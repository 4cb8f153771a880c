"""Count what each variant of a split endpoint was asked, minute by minute."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from monitoring.drift import shape
from monitoring.models import VariantCount
from monitoring.pipeline.counting import moment

ALONE = "champion"
# Lines of a split that are no prediction of the endpoint: what a shadow said, and whether a variant is ready.
BESIDE = frozenset({"shadow", "standing"})
MINUTE_MS = 60_000
SUMMED = ("requests", "errors", "assigned", "sticky", "rows", "bad_outputs", "loads", "load_failures", "differing",
          "dropped", "score_sum")  # fmt: skip


def count(header: dict[str, Any], records: Iterable[dict[str, Any]]) -> None:
    """Add the lines of one variant to its minutes, in the transaction that marks them counted."""
    for minute, taken in sorted(_by_minute(records).items()):
        _add(header, minute, _tally(header, taken))


def _by_minute(records: Iterable[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for record in records:
        at = record.get("since", record["at"])
        found.setdefault(at - at % MINUTE_MS, []).append(record)
    return found


def _tally(header: dict[str, Any], records: list[dict[str, Any]]) -> VariantCount:
    """Count lines; the row is not saved."""
    made = VariantCount(latency=[0] * (len(shape.LATENCY_EDGES_US) + 1), scores=[0] * (len(header["edges"]) + 1))
    row = 0
    for record in records:
        row = row + 1 if record["kind"] == "refusal" and record.get("code") == "timeout" else 0
        made.timeouts_in_a_row = max(made.timeouts_in_a_row, row)
        _TAKE[record["kind"]](made, record, header["edges"])
    return made


def _answered(made: VariantCount, record: dict[str, Any], edges: list[float]) -> None:
    made.requests += 1
    made.assigned += "unit" in record
    made.sticky += bool(record.get("sticky"))
    _outputs(made, record, edges)


def _outputs(made: VariantCount, record: dict[str, Any], edges: list[float]) -> None:
    made.latency[shape.latency_bin(record["us"])] += 1
    made.rows += len(record["y"])
    shares = record["p"] or [()] * len(record["y"])
    for label, score, row in zip(record["y"], record["s"], shares, strict=True):
        made.bad_outputs += _is_bad(label, score, row)
        if score is not None and math.isfinite(score):
            made.scores[bisect_right(edges, score)] += 1
            made.score_sum += score


def _is_bad(label: Any, score: float | None, shares: Iterable[float | None]) -> bool:
    """Whether an answer is empty or impossible; JSON writes what is no number as null."""
    if label is None or (isinstance(label, float) and not math.isfinite(label)):
        return True
    if any(share is None or not -1e-9 <= share <= 1 + 1e-9 for share in shares):
        return True
    return score is not None and not math.isfinite(score)


def _refused(made: VariantCount, _record: dict[str, Any], _edges: list[float]) -> None:
    made.requests += 1
    made.errors += 1


def _shadowed(made: VariantCount, record: dict[str, Any], edges: list[float]) -> None:
    made.dropped += record.get("dropped", 0)
    if "dropped" in record:
        return
    made.requests += 1
    if record.get("failed"):
        made.errors += 1
        return
    made.differing += record["differing"]
    _outputs(made, record, edges)


def _stood(made: VariantCount, record: dict[str, Any], _edges: list[float]) -> None:
    if record["ready"]:
        made.loads += 1
    else:
        made.load_failures += 1
        made.trouble = str(record.get("reason", ""))[:500]


def _left(_made: VariantCount, _record: dict[str, Any], _edges: list[float]) -> None:
    """Rows without a line: the event about the gap tells of them."""


_TAKE = {"prediction": _answered, "refusal": _refused, "shadow": _shadowed, "standing": _stood, "gap": _left}


def _add(header: dict[str, Any], minute: int, added: VariantCount) -> None:
    where = {"source": header["revision_id"], "variant": header["variant"], "minute": moment(minute)}
    facts = {
        "project_id": header["project"], "endpoint": header["endpoint"], "mode": header["mode"],
        "label": header["label"],
    }  # fmt: skip
    VariantCount.objects.get_or_create(**where, defaults=facts)
    held = VariantCount.objects.select_for_update(no_key=True).get(**where)
    for name in SUMMED:
        setattr(held, name, getattr(held, name) + getattr(added, name))
    held.timeouts_in_a_row = max(held.timeouts_in_a_row, added.timeouts_in_a_row)
    held.trouble = added.trouble or held.trouble
    held.latency, held.scores = _sum(held.latency, added.latency), _sum(held.scores, added.scores)
    held.save()


def _sum(held: list[int], added: list[int]) -> list[int]:
    return [one + other for one, other in zip(held, added, strict=True)] if held else added
