"""Pages of the model card: read, compare, write, export; and the card that was kept with a request."""

from itertools import zip_longest
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from deployments.cards.parts import OF_MODEL, PARTS
from deployments.cards.writing import own, written
from deployments.models import ModelVersion, PaperVersion, PromotionRequest
from deployments.proof import papers
from deployments.services import cards, past_models, writings
from deployments.views.paper_edit import PaperEdit
from deployments.views.papers import TextForm, file_name, file_of, taken, text_form
from deployments.views.versions import OneVersion
from mlportal.lib.moments import Span
from projects.access import ProjectView
from projects.permissions import Permission
from projects.services.past import Section

MOST = 50
FORMATS = ("pdf", "html", "json")


def address(version: ModelVersion, page: str = "card") -> str:
    """Return the address of a page of the card."""
    model = version.model
    return reverse(f"deployments:version-{page}", args=[model.project.slug, model.name, version.number])


class VersionCard(OneVersion):
    """The card of a version, as it is or as an earlier one said."""

    reads = ModelVersion
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        shown = _number(request.GET.get("number", ""))
        paper = writings.named(cards.read(self.actor, version=version, number=shown))
        history = list(writings.history(self.actor, version=version, paper="card")[: MOST + 1])
        filled, asked = papers.completeness(paper)
        context: dict[str, Any] = {
            "version": version, "paper": paper, "history": with_earlier(history)[:MOST], "shown": shown,
            "filled": filled, "asked": asked,
            "gaps": papers.gaps(paper), "changes": None, "formats": FORMATS,
        }  # fmt: skip
        since = _number(request.GET.get("since", ""))
        if since is not None:
            newest = paper["about"]["card"]
            context |= {
                "since": since, "until": newest,
                "changes": cards.difference(self.actor, version=version, old=since, new=newest),
            }  # fmt: skip
        return render(request, "deployments/card.html", context)

    def past(self, span: Span, name: str, number: int) -> list[Section]:
        """Return what people had written in it by then."""
        labels = {key: each.label for key, each in PARTS.items()}
        return past_models.paper(self.load(name, number), span, kind="card", labels=labels)

    def past_heading(self, **kwargs: Any) -> str:
        return f"Model card of {kwargs['name']} v{kwargs['number']}"


class VersionCardEdit(PaperEdit):
    """Write texts of the card."""

    reads = ModelVersion
    permission = Permission.MODEL_REGISTER
    paper = "model card"

    def write(self, version: ModelVersion, form: TextForm) -> PaperVersion | None:
        return cards.write(self.actor, version=version, texts=form.texts(), level=form.level, seen=form.seen)

    def saved(self, made: PaperVersion) -> str:
        return f"Card {made.number} is saved."

    def address(self, version: ModelVersion) -> str:
        return address(version)

    def form(self, request: HttpRequest, version: ModelVersion) -> TextForm:
        level = (request.POST if request.method == "POST" else request.GET).get("level", "")
        of_model = {part: said["text"] for part, said in own(version, "card", level="model").items()}
        of_model |= {part: getattr(version.model, part) for part in OF_MODEL if getattr(version.model, part)}
        special = level == "version"
        here = {part: said["text"] for part, said in own(version, "card", level="version").items()}
        rows = {part: (item.label, item.about) for part, item in PARTS.items()}
        seen = written(version, "card").number
        stands = of_model if special else {}
        return text_form(request, rows, own=here if special else of_model, stands=stands, seen=seen)


class VersionCardFile(OneVersion):
    """The card as a file."""

    reads = ModelVersion
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, name: str, number: int, form: str) -> HttpResponse:
        version = self.load(name, number)
        card = cards.read(self.actor, version=version, number=_number(request.GET.get("number", "")))
        kept_as = file_name(version, "card", card["about"]["card"])
        return taken(request, version, file_of(self.actor, version, card, form, kept_as))


class PromotionCard(ProjectView):
    """The card that was kept with a request: what the approver saw."""

    reads = PromotionRequest
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        rows = self.rows().in_project(self.project).with_subject()
        found: PromotionRequest = self.find(rows, pk=min(number, 2**62))
        kept = cards.kept(self.actor, request=found)
        form = request.GET.get("format", "")
        if form:
            kept_as = file_name(found.version, f"promotion-{found.pk}-card", kept.number)
            made = file_of(self.actor, found.version, kept.document, form, kept_as, promotion=found.pk)
            return taken(request, found.version, made)
        context = {
            "request_": found,
            "kept": kept,
            "paper": writings.named(kept.document),
            "version": found.version,
            "formats": FORMATS,
        }
        return render(request, "deployments/card_kept.html", context)


def with_earlier(rows: list[PaperVersion]) -> list[PaperVersion]:
    """Tell each saved change, newest first, which one was before it; 0 is none."""
    for row, before in zip_longest(rows, rows[1:]):
        row.earlier = before.number if before else 0
    return rows


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
