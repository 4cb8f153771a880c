"""What pages of papers share: files to download, and the form of texts that people write."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import slugify

from deployments.models import DrawnPaper, ModelVersion
from deployments.proof.papers import Json
from deployments.services import drawings, prints
from mlportal.lib.errors import DomainError
from mlportal.lib.lease import WorkState
from projects.actor import Actor

MENDABLE = (400, 409, 422)


@dataclass
class TextField:
    """One text of the form."""

    name: str
    label: str
    about: str
    value: str
    stands: str = ""
    error: str = ""
    section: str = ""


@dataclass
class TextForm:
    """Texts of a paper as a form: what was sent, else what is written."""

    fields: list[TextField]
    level: str
    seen: int
    trouble: str = ""
    preview: bool = False

    def texts(self) -> dict[str, str]:
        """Return the texts as they are sent to the service."""
        return {field.name: field.value for field in self.fields}

    def refuse(self, error: DomainError) -> None:
        """Show an error at its field, else on top."""
        for field in self.fields:
            if field.name == error.field:
                field.error = error.message
        self.trouble = error.message


def level_of(given: str) -> str:
    """Return the level a request is about."""
    return "version" if given == "version" else "model"


def text_form(
    request: HttpRequest, rows: Mapping[str, tuple[str, str]], *, own: Mapping[str, str], stands: Mapping[str, str],
    seen: int,
) -> TextForm:  # fmt: skip
    """Read the form of a request, or fill it with what is written.

    Parameters
    ----------
    rows
        Label and hint by name.
    own, stands
        What is written at this level, and what stands there from the level above.
    seen
        Number of the newest version of the paper.
    """
    sent = request.POST if request.method == "POST" else None
    level = level_of((sent or request.GET).get("level", ""))
    given = str(sent.get("seen", "")) if sent else ""
    fields = [
        TextField(
            name, label, about, str(sent.get(f"text-{name}", own.get(name, ""))) if sent else own.get(name, ""),
            stands.get(name, ""),
        )
        for name, (label, about) in rows.items()
    ]  # fmt: skip
    number = int(given) if given.isdecimal() and len(given) < 10 else seen
    return TextForm(fields, level, number, preview=bool(sent and sent.get("do") == "preview"))


def file_of(
    by: Actor, version: ModelVersion, card: Json, form: str, name: str, **about: Any
) -> HttpResponse | DrawnPaper:
    """Answer with a card as a file, or with the drawing of it while a worker has it.

    Parameters
    ----------
    about
        More facts for its head.
    """
    if form != "pdf":
        return attached(prints.write(prints.readable(card, **about), form), form, name)
    row = drawings.ask(by, project=version.model.project, document=card, about=about)
    return attached(drawings.content(by, drawn=row), form, name) if row.state == WorkState.SUCCEEDED else row


def taken(request: HttpRequest, version: ModelVersion, answer: HttpResponse | DrawnPaper) -> HttpResponse:
    """Answer a page with the file, or with how far it is drawn; htmx asks for that part alone."""
    part, ready = bool(request.headers.get("HX-Request")), isinstance(answer, HttpResponse)
    if isinstance(answer, HttpResponse) and not part:
        return answer
    context = {"version": version, "drawn": None if ready else answer, "here": request.get_full_path()}
    return render(request, f"deployments/{'_' if part else ''}drawing.html", context, status=200 if ready else 202)


def attached(content: bytes, form: str, name: str) -> HttpResponse:
    """Answer with a file to keep."""
    answer = HttpResponse(content, content_type=prints.FORMATS[form])
    answer["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    return answer


def file_name(version: ModelVersion, what: str, number: Any = "") -> str:
    """Return a name for a file that any disk takes."""
    words = [slugify(version.model.name) or f"model-{version.model_id}", f"v{version.number}", what]
    return "-".join([*words, str(number)] if number != "" else words)
