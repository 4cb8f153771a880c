"""Of which experiments the runs are meant, as SQL.

Numbers are written into the SQL as they are: they are row numbers of ours, never a text that somebody sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Scope:
    """One experiment, or several of one project.

    Parameters
    ----------
    ids : tuple of int
    project_id : int, optional
        Says that these are all experiments of the project that are not deleted.
    """

    ids: tuple[int, ...]
    project_id: int | None = None

    @classmethod
    def of(cls, experiment_id: int) -> Scope:
        """One experiment."""
        return cls((experiment_id,))

    @property
    def is_single(self) -> bool:
        """Whether it is one experiment, whose indexes are walked as they are."""
        return len(self.ids) == 1

    def holds(self, column: str) -> str:
        """SQL of the test that a column is one of these experiments."""
        if self.is_single:
            return f"{column} = {self.ids[0]}"
        if connection.vendor == "postgresql":  # one constant: thousands of them cost the planner their time
            return f"{column} = ANY('{{{self._listed}}}'::bigint[])"
        return f"{column} IN ({self._listed})"

    @property
    def rows(self) -> str:
        """SQL of a table `e` with a row for each experiment."""
        if connection.vendor == "postgresql":
            return f"unnest('{{{self._listed}}}'::bigint[]) AS e (id)"
        return f"(SELECT value AS id FROM json_each('[{self._listed}]')) e"

    def end(self, which: str, look: Callable[[str], str]) -> str:
        """SQL of the least ("min") or greatest ("max") of what a look into each experiment finds.

        `look` takes what stands for the experiment and gives a SELECT of one value. Each look is one step in an
        index of the experiment's, where one SELECT for all of them would read every entry.
        """
        if self.is_single:
            return f"({look(str(self.ids[0]))})"
        return f"(SELECT {which}(({look('e.id')})) FROM {self.rows})"

    def first(self, count: int) -> Scope:
        """The first experiments of it, for what must cost little."""
        return self if len(self.ids) <= count else Scope(self.ids[:count])

    @property
    def _listed(self) -> str:
        return ",".join(map(str, self.ids))
