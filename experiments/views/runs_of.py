"""What all pages of one experiment's runs share: the address they answer and the runs they may read."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from experiments import queries
from experiments.metricstore import NEWEST_FIRST, FilterError, Order
from experiments.models import Experiment
from experiments.queries import tokens
from mlportal.lib.errors import Invalid
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
    agg: str = "last"
    only: bool = False

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
            _agg(given.get("agg", ""), given.get("step", "")),
            "1" in (given.get("only"), given.get("diff")),
        )


class RunsOf(ProjectView):
    """Base of the pages of one experiment's runs."""

    abstract = True
    reads = Experiment
    permission = Permission.RUN_VIEW
    order_fault = ""

    def experiment(self, address: str) -> Experiment:
        """The experiment of the address, or 404."""
        rows = self.rows().in_project(self.project).active().select_related("project")
        return self.find(rows.addressed(address))

    def order(self, experiment: Experiment, text: str, agg: str = "last") -> Order:
        """The order asked for, or best first by the primary metric; what cannot be sorted by is left out."""
        try:
            return queries.order_of(experiment, text, agg) if text else queries.first_order(experiment, agg)
        except FilterError as fault:
            self.order_fault = fault.message
            return NEWEST_FIRST


def _agg(text: str, step: str) -> str:
    """Read the aggregate; a form sends the word and the step apart."""
    try:
        return tokens.aggregate(f"step:{step}" if text == "step" else text)
    except Invalid:
        return "last"


def whole(text: str, default: int) -> int:
    """Read a whole number that is not negative; what is none is the default."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def numbers(text: str) -> list[int]:
    """Read run numbers parted by commas; what is none is left out."""
    return [int(n) for n in text.split(",") if n.isascii() and n.isdigit() and len(n) < 19]
