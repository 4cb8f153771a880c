"""How far metrics reach over many runs, without reading their values one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Spread:
    """The latest values of one metric: how many runs have one, how many are no number, the ends of the others."""

    count: int
    nans: int
    low: float | None
    high: float | None

    def differs(self, runs: int) -> bool:
        """Whether the values of so many runs are not all the same; a missing one is a value of its own."""
        return self.count < runs or self.low != self.high or 0 < self.nans < self.count


def of_metrics(run_ids: Sequence[int]) -> dict[str, Spread]:
    """Return the spread of each metric of folded runs by its name; one query."""
    if not run_ids:
        return {}
    marks = ", ".join(["%s"] * len(run_ids))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT k.name, found.runs, found.nans, found.low, found.high FROM (
                  SELECT key_id, count(*) AS runs, sum(CASE WHEN is_nan THEN 1 ELSE 0 END) AS nans,
                    min(CASE WHEN is_nan THEN NULL ELSE value END) AS low,
                    max(CASE WHEN is_nan THEN NULL ELSE value END) AS high
                  FROM experiments_runmetric WHERE run_id IN ({marks}) GROUP BY key_id
                ) found JOIN experiments_key k ON k.id = found.key_id""",  # noqa: S608 - marks only
            [*run_ids],
        )
        return {name: Spread(*rest) for name, *rest in cursor.fetchall()}
