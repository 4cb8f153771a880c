"""Two versions side by side: a page with an address to share, and the same as CSV or JSON."""

import csv
import io
import json
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from deployments.models import ModelVersion
from deployments.services import compared
from mlportal.lib.errors import Invalid, Missing
from projects.access import ProjectView
from projects.permissions import Permission

MOST_CHOICES = 300
COLUMNS = ("part", "name", "left", "right", "difference", "verdict", "changed")


class VersionCompare(ProjectView):
    """Any two versions of the project; ``a`` and ``b`` name them, or two ticked as ``pick``."""

    reads = ModelVersion
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them, or where one is not named the choice."""
        if picked := request.GET.getlist("pick")[:3]:
            return self._picked(picked)
        left, right, form = (request.GET.get(name, "").strip()[:300] for name in ("a", "b", "form"))
        if not left or not right:
            return self._show(request, left, right)
        try:
            made = compared.compare(self.actor, project=self.project, left=left, right=right)
        except (Invalid, Missing) as error:
            return self._show(request, left, right, trouble=error.message, status=error.status)
        if form in ("csv", "json"):
            return _file(made, form)
        return self._show(request, left, right, made=made)

    def _picked(self, picked: list[str]) -> HttpResponse:
        """Go to the address of what was ticked: the second line of a newest-first table is the older version."""
        names = dict(zip(("b", "a"), picked, strict=False))
        return redirect(f"{reverse('deployments:version-compare', args=[self.project.slug])}?{urlencode(names)}")

    def _show(
        self, request: HttpRequest, left: str, right: str, *, made: compared.Comparison | None = None,
        trouble: str = "", status: int = 200,
    ) -> HttpResponse:  # fmt: skip
        rows = self.rows().in_project(self.project).order_by("model__name", "-number")
        choices = [f"{name}@{number}" for name, number in rows.values_list("model__name", "number")[:MOST_CHOICES]]
        context: dict[str, Any] = {
            "made": made, "left": left, "right": right, "choices": choices, "trouble": trouble,
            "only": request.GET.get("only") == "changes",
        }  # fmt: skip
        return render(request, "deployments/version_compare.html", context, status=status)


def _file(made: compared.Comparison, form: str) -> HttpResponse:
    body = _csv(made) if form == "csv" else json.dumps(made.plain(), indent=2, ensure_ascii=False)
    response = HttpResponse(body, content_type="text/csv; charset=utf-8" if form == "csv" else "application/json")
    response["Content-Disposition"] = f'attachment; filename="versions-{made.left.pk}-{made.right.pk}.{form}"'
    return response


def _csv(made: compared.Comparison) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    plain = made.plain()
    for part in plain["parts"]:
        for note in part["notes"]:
            writer.writerow([part["part"], _cell(note["text"]), "", "", "", note["effect"], True])
        for line in part["lines"]:
            values = (_cell(line[name]) for name in COLUMNS[1:])
            writer.writerow([part["part"], *values])
    return out.getvalue()


def _cell(value: Any) -> Any:
    """Return a cell: numbers as they are, and no text that a spreadsheet would run as a formula."""
    if value is None or not isinstance(value, str):
        return "" if value is None else value
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
