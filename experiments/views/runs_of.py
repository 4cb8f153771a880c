"""What all pages of one experiment's runs share: the address they answer and the runs they may read."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from experiments import metricstore, queries
from experiments.metricstore import NEWEST_FIRST, FilterError, Order
from experiments.models import Experiment
from projects.access import ProjectView
from projects.permissions import Permission

PAGE_SIZES = (50, 100, 200)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of a runs table asks for."""

    text: str
    typed: str
    order_text: str
    limit: int
    deleted: bool

    @classmethod
    def of(cls, request: HttpRequest) -> Asked:
        """Read the address; what is wrong falls back to the default."""
        given = request.GET
        size = given.get("limit", "")
        limit = int(size) if size in {str(n) for n in PAGE_SIZES} else 100
        return cls(
            given.get("q", "").strip(),
            given.get("add", "").strip(),
            given.get("sort", ""),
            limit,
            given.get("deleted") == "1",
        )


class RunsOf(ProjectView):
    """Base of the pages of one experiment's runs."""

    abstract = True
    reads = Experiment
    permission = Permission.RUN_VIEW

    def experiment(self, address: str) -> Experiment:
        """The experiment of the address, or 404."""
        rows = self.rows().in_project(self.project).active().select_related("project")
        return self.find(rows.addressed(address))

    def order(self, experiment: Experiment, text: str, known: dict[str, list[str]]) -> Order:
        """The order asked for, or best first by the primary metric."""
        if text:
            try:
                found = metricstore.parse_order(text, set(known["metric"]), set(known["param"]))
            except FilterError:
                found = NEWEST_FIRST
            return Order(found.kind, found.key, found.descending, settled_first=found.kind != "attribute")
        metrics = queries.default_metrics(experiment, known["metric"])
        if not metrics:
            return NEWEST_FIRST
        return Order("metric", metrics[0], queries.higher_is_better(metrics[0]), settled_first=True)


def numbers(text: str) -> list[int]:
    """Read run numbers parted by commas; what is none is left out."""
    return [int(n) for n in text.split(",") if n.isascii() and n.isdigit() and len(n) < 19]
