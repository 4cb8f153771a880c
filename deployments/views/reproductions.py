"""Reproductions on the page of a version: ask for one, watch it, read what came out, take the certificate along."""

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from deployments.models import ModelVersion, Reproduction
from deployments.services import reproductions
from deployments.views.answers import see
from deployments.views.versions import OneVersion, address
from mlportal.lib.errors import DomainError
from projects.permissions import Permission


class VersionReproduce(OneVersion):
    """The card alone, and asking for a reproduction."""

    reads = ModelVersion
    permission = Permission.MODEL_VIEW
    write_permission = Permission.JOB_LAUNCH

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Show the card; htmx asks while a worker trains or compares."""
        version = self.load(name, number)
        context = {"version": version, "reproduced": self.reproduced(version)}
        return render(request, "deployments/_reproduced.html", context)

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Have the version trained again."""
        version = self.load(name, number)
        given = {key: request.POST.get(key, "") for key in ("metric_tolerance", "prediction_tolerance")}
        try:
            made = reproductions.ask(self.actor, version=version, **{key: _number(text) for key, text in given.items()})
        except DomainError as error:
            if error.status == 403:
                raise
            messages.error(request, error.message)
        else:
            messages.success(request, f"Job {made.job_id} trains {version} again from its recipe.")
        return see(f"{address(version)}#reproduce")


class VersionCertificate(OneVersion):
    """A certificate to take along."""

    reads = ModelVersion
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, name: str, number: int, reproduction: int) -> HttpResponse:
        """Send the signed certificate as JSON."""
        del request
        version = self.load(name, number)
        row: Reproduction = self.find(reproductions.found(self.actor, version=version), pk=min(reproduction, 2**62))
        body = json.dumps(reproductions.whole(self.actor, row=row), indent=2, ensure_ascii=False)
        answer = HttpResponse(body, content_type="application/json")
        answer["Content-Disposition"] = f'attachment; filename="v{number}-reproduction-{row.pk}.json"'
        return answer


def _number(text: str) -> Any:
    """Read a number of a form; a text that is none goes on and is refused by its name."""
    try:
        return float(text) if text.strip() else None
    except ValueError:
        return text
