"""What all pages of a table of runs share: the address they answer and the runs they may read."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from experiments import queries
from experiments.metricstore import NEWEST_FIRST, FilterError, Order
from experiments.models import Experiment
from experiments.queries import Place, tokens
from experiments.queries.compared import View
from mlportal.lib.errors import Invalid
from projects.access import ProjectView
from projects.permissions import Permission

PAGE_SIZES = (50, 100, 200)
USUAL_SIZE = 100


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
        """Read the address; what is wrong falls back to the default, which `address_faults` says."""
        given = request.GET
        size = given.get("limit", "")
        limit = int(size) if size in {str(n) for n in PAGE_SIZES} else USUAL_SIZE
        return cls(
            given.get("q", "").strip(),
            given.get("add", "").strip(),
            given.get("sort", ""),
            limit,
            given.get("deleted") == "1",
            _agg(request),
            "1" in (given.get("only"), given.get("diff")),
        )


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of the pages of one table of runs; those of all runs stand without an experiment.

    Parameters
    ----------
    project, experiment : str
        Slug and address; empty for several experiments.
    folder_id : int, optional
    """

    project: str
    experiment: str = ""
    folder_id: int | None = None

    @classmethod
    def of(cls, place: Place) -> Addresses:
        """Those of a place."""
        if isinstance(place, Experiment):
            return cls(place.project.slug, place.address)
        return cls(place.project.slug, folder_id=place.folder.pk if place.folder else None)

    def __getitem__(self, name: str) -> str:
        """The address of a page by its name in `experiments.urls`, for templates: ``{{ at.columns }}``."""
        whole = f"experiments:{_PAGES[name]}"
        if self.experiment:
            return reverse(whole, args=[self.project, self.experiment])
        return reverse(f"{whole}-all", args=[self.project])

    @property
    def folder(self) -> str:
        """What keeps the folder in an address that has no query of its own."""
        return "" if self.folder_id is None else f"?folder={self.folder_id}"

    @property
    def first(self) -> str:
        """What an address of the table begins with."""
        return f"{self.folder}&" if self.folder else "?"


_PAGES = {
    "runs": "run-list", "columns": "run-columns", "bulk": "run-bulk", "export": "run-export-ask",
    "selection": "run-selection", "complete": "filter-completion", "save": "view-save", "compare": "run-compare",
    "series": "compare-series", "facts": "compare-facts", "file": "compare-export", "csv": "compare-csv",
    "report": "compare-report", "importance": "compare-importance",
}  # fmt: skip


class RunsOf(ProjectView):
    """Base of the pages of a table of runs: of one experiment, or of several."""

    abstract = True
    reads = Experiment
    permission = Permission.RUN_VIEW
    order_fault = ""

    def experiment(self, address: str) -> Experiment:
        """The experiment of the address, or 404."""
        rows = self.rows().in_project(self.project).active().select_related("project")
        return self.find(rows.addressed(address))

    def place(self, address: str, view: View | None = None) -> Place:
        """The experiment of the address, or all of the project or of the folder that it asks for, or 404."""
        if address:
            return self.experiment(address)
        return queries.run_set(self.actor, self.project, (view or View(self.request.GET)).folder)

    def order(self, place: Place, text: str, agg: str = "last") -> Order:
        """The order asked for, or best first by the primary metric; what cannot be sorted by is left out."""
        try:
            return queries.order_of(place, text, agg) if text else queries.first_order(place, agg)
        except FilterError as fault:
            self.order_fault = f"sort: {fault.message}"
            return NEWEST_FIRST


def asked_agg(request: HttpRequest) -> str:
    """Read the aggregate; a form sends the word and the step apart.

    Raises
    ------
    Invalid
        If there is no such aggregate.
    """
    text = request.GET.get("agg", "")
    return tokens.aggregate(f"step:{request.GET.get('step', '')}" if text == "step" else text)


def _agg(request: HttpRequest) -> str:
    try:
        return asked_agg(request)
    except Invalid:
        return "last"


def asked_columns(request: HttpRequest) -> str:
    """Return the columns an address asks for, also as the boxes of the chooser send them."""
    picked = [text for text in request.GET.getlist("col") if text]
    return ",".join(picked) if picked else request.GET.get("cols", "")


def whole(text: str, default: int) -> int:
    """Read a whole number that is not negative; what is none is the default."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def numbers(text: str) -> list[int]:
    """Read run numbers parted by commas; what is none is left out."""
    return [int(n) for n in text.split(",") if n.isascii() and n.isdigit() and len(n) < 19]
