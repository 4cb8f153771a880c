"""The auditor's question: what was in production at a moment, who allowed it, and the answer as files."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from deployments.models import RegisteredModel
from deployments.services import past, past_evidence
from mlportal.lib import moments
from mlportal.lib.errors import Invalid
from mlportal.lib.moments import Span
from projects.access import ProjectView
from projects.models import Project
from projects.permissions import Permission
from projects.services import past as people
from projects.services.past import Section


def evidence_of(project: Project, model: str = "") -> dict[str, str]:
    """Return what the button that exports evidence sends."""
    return {"action": reverse("deployments:past-evidence", args=[project.slug]), "model": model}


def download(content: bytes, project: Project, span: Span) -> HttpResponse:
    """Answer with evidence as a file named for its project and day."""
    answer = HttpResponse(content, content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="evidence-{project.slug}-{span.start:%Y-%m-%d}.zip"'
    return answer


def asked(text: str) -> Span:
    """Return the moment of a body; it is needed there."""
    if not text.strip():
        raise Invalid("as_of is needed: a date such as 2026-03-12 or a time.", field="as_of")
    return moments.past(text, field="as_of", now=timezone.now())


class PastProduction(ProjectView):
    """What was in production in a project, with who could have approved; asks for the moment first."""

    reads = RegisteredModel
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "deployments/past_production.html", {})

    def past(self, span: Span) -> list[Section]:
        return [
            *past.production(self.project, span), *past.policies(self.project, span),
            *people.members(self.project, span),
        ]  # fmt: skip

    def past_heading(self, **kwargs: Any) -> str:
        del kwargs
        return "What was in production"

    def past_evidence(self, **kwargs: Any) -> dict[str, str]:
        del kwargs
        return evidence_of(self.project)


class PastEvidence(ProjectView):
    """The answer as JSON and CSV with a signature; an entry of the audit log itself, so it is a POST."""

    reads = RegisteredModel
    permission = Permission.AUDIT_VIEW

    def post(self, request: HttpRequest) -> HttpResponse:
        span, name = asked(request.POST.get("as_of", "")), request.POST.get("model", "")[:256]
        rows = self.rows().in_project(self.project)
        model = self.find(rows, name=name) if name else None
        return download(
            past_evidence.export(self.actor, project=self.project, span=span, model=model), self.project, span
        )
