"""Search over everything with a name, limited to what the person may see; also fills the command palette."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from deployments.models import Endpoint, RegisteredModel
from experiments.models import Experiment, Lifecycle, Run
from projects.access import SiteView
from projects.actor import Actor
from projects.models import Dataset, Project
from projects.permissions import Permission

EACH = 8
MAX_WORDS = 200


@dataclass(frozen=True)
class Hit:
    """One result."""

    icon: str
    text: str
    kind: str
    href: str


class Search(SiteView):
    """``/search/?q=``: a page, or for the palette (htmx) only its list."""

    reads = Project
    permission = Permission.ACCOUNT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        words = request.GET.get("q", "").strip()[:MAX_WORDS]
        hits = find(self.actor, words, request.GET.get("project", "")) if words else []
        template = "_search_results.html" if request.headers.get("HX-Request") else "search.html"
        return render(request, template, {"hits": hits, "q": words})


def find(actor: Actor, words: str, here: str = "") -> list[Hit]:
    """At most eight of each kind; results of the project ``here`` come first. Seven queries."""
    mine = {project.pk: project for project in Project.objects.visible_to(actor)}
    hits = [*_projects(mine, words), *_runs(mine, words), *_named(mine, words)]
    return sorted(hits, key=lambda hit: not hit.href.startswith(f"/p/{here}/")) if here else hits


def _projects(mine: dict[int, Project], words: str) -> Iterable[Hit]:
    folded = words.casefold()
    found = [project for project in mine.values() if folded in project.name.casefold() or folded in project.slug]
    for project in found[:EACH]:
        yield Hit("folder", project.name, "project", f"/p/{project.slug}/")


def _runs(mine: dict[int, Project], words: str) -> Iterable[Hit]:
    wanted = Q(name__icontains=words)
    number = words.lower().removeprefix("run").strip()
    if number.isascii() and number.isdigit() and len(number) < 18:
        wanted |= Q(pk=int(number))
    rows = Run.objects.active().filter(wanted, project__in=mine).order_by("-pk")
    for run in rows.only("name", "state", "project_id")[:EACH]:
        yield Hit("flask", f"Run {run.pk} · {run.name}", run.state, f"/p/{mine[run.project_id].slug}/runs/{run.pk}/")


def _named(mine: dict[int, Project], words: str) -> Iterable[Hit]:
    kinds = (
        (Dataset, "database", "dataset", "datasets"), (Experiment, "flask", "experiment", "experiments"),
        (RegisteredModel, "box", "model", "models"), (Endpoint, "server-2", "endpoint", "deployments"),
    )  # fmt: skip
    for model, icon, kind, place in kinds:
        rows = model.objects.filter(project__in=mine, name__icontains=words).order_by("name")
        if model is Experiment:
            rows = rows.filter(lifecycle=Lifecycle.ACTIVE)
        for row in rows.only("name", "project_id")[:EACH]:
            project, address = mine[row.project_id], getattr(row, "address", row.name)
            yield Hit(icon, row.name, f"{kind} in {project.name}", f"/p/{project.slug}/{place}/{quote(address)}/")
