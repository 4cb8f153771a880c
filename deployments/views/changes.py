"""What a promotion changes: parameters, data, code and packages of the candidate against the version it replaces."""

from dataclasses import dataclass
from typing import Any

from deployments.models import PromotionRequest
from deployments.services import compared
from experiments import queries

SHOWN = 3
Json = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One line: what was and what is."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Part:
    """One kind of change: its lines, or in words why there are none."""

    title: str
    icon: str
    lines: list[Change]
    words: str = ""

    @property
    def shown(self) -> list[Change]:
        """The first few."""
        return self.lines[:SHOWN]

    @property
    def more(self) -> int:
        """How many are left out of the first few."""
        return max(0, len(self.lines) - SHOWN)


def of(request: PromotionRequest) -> list[Part]:
    """Compare candidate and production in four parts; empty when nothing is in production."""
    version, baseline = request.version, request.baseline
    if baseline is None:
        return []
    facts = {row.run.pk: row for row in queries.facts_of([pk for pk in (version.run_id, baseline.run_id) if pk], [])}
    now, was = facts.get(version.run_id or 0), facts.get(baseline.run_id or 0)
    return [
        _part(
            "Parameters", "adjustments-horizontal", compared.params(was), compared.params(now), "the runs record none"
        ),
        _part("Data", "database", compared.data(baseline), compared.data(version), "no dataset is recorded"),
        _part("Code", "git-commit", compared.code(was, baseline), compared.code(now, version), "no commit is recorded"),
        _part("Packages", "package", compared.packages(baseline), compared.packages(version), "no package is recorded"),
    ]


def plain(parts: list[Part]) -> list[Json]:
    """Return the parts for a script."""
    return [
        {
            "part": part.title.lower(), "words": part.words,
            "changes": [{"name": line.name, "before": line.before, "after": line.after} for line in part.lines],
        }
        for part in parts
    ]  # fmt: skip


def _part(title: str, icon: str, before: Json, after: Json, absent: str) -> Part:
    names = sorted({*before, *after}, key=str.casefold)
    lines = [
        Change(name, str(before.get(name, "–")), str(after.get(name, "–")))
        for name in names if str(before.get(name)) != str(after.get(name))
    ]  # fmt: skip
    return Part(title, icon, lines, "" if lines else "the same" if names else absent)
