"""Pages of batch scorings: the list, asking for one, one with its progress and what came out."""

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from deployments.forms import BatchForm
from deployments.models import Batch, Endpoint, ModelVersion
from deployments.models.batches import BatchQuerySet
from deployments.services import batches
from deployments.views.answers import see
from mlportal.lib.errors import Conflict, DomainError
from mlportal.lib.lease import WorkState
from projects.access import ProjectView
from projects.models import DatasetVersion
from projects.permissions import Permission

PER_PAGE = 50
OFFERED = 200


def address(batch: Batch) -> str:
    """Return the address of a batch's page."""
    return reverse("deployments:batch-detail", args=[batch.project.slug, batch.pk])


class BatchList(ProjectView):
    """The batch scorings of a project, newest first."""

    reads = Batch
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        rows: BatchQuerySet = self.rows().in_project(self.project).with_subject()
        before = request.GET.get("before", "")
        if before.isascii() and before.isdigit():
            rows = rows.filter(pk__lt=int(before[:18]))
        found = list(rows.order_by("-pk")[: PER_PAGE + 1])
        context = {
            "batches": found[:PER_PAGE], "before": before,
            "older": found[PER_PAGE - 1].pk if len(found) > PER_PAGE else None,
        }  # fmt: skip
        return render(request, "deployments/batch_list.html", context)


class BatchNew(ProjectView):
    """Ask for a batch scoring."""

    reads = Batch
    permission = Permission.JOB_LAUNCH

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form; ``data``, ``model`` and ``from`` fill it in."""
        given = {"data": request.GET.get("data", "")[:200], "scorer": request.GET.get("model", "")[:400]}
        again = request.GET.get("from", "")
        if again.isascii() and again.isdigit():
            given |= self._of(self.find(self.rows().in_project(self.project).with_subject(), pk=int(again[:18])))
        return self._show(request, BatchForm(initial=given, **self._choices()))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Start it, or show what is wrong."""
        form = BatchForm(request.POST, **self._choices())
        made = form.attempt(lambda: self._start(form.cleaned_data)) if form.is_valid() else None
        if made is None:
            return self._show(request, form, status=422)
        return see(address(made))

    def _start(self, values: dict[str, Any]) -> Batch:
        kind, _, number = values["scorer"].partition(":")
        data = DatasetVersion.objects.visible_to(self.actor).in_project(self.project)
        return batches.start(
            self.actor,
            dataset_version=self.find(data.select_related("dataset__project"), pk=int(values["data"])),
            version=self.find(self._versions(), pk=int(number)) if kind == "version" else None,
            endpoint=self.find(self._endpoints(), pk=int(number)) if kind == "endpoint" else None,
            keep=values["keep"], name=values["name"], most_refused=values["most_refused"],
        )  # fmt: skip

    def _choices(self) -> dict[str, Any]:
        data = DatasetVersion.objects.visible_to(self.actor).in_project(self.project).ready().light()
        rows = data.select_related("dataset").order_by("-pk")[:OFFERED]
        live = [(f"endpoint:{row.pk}", f"{row.name}, now {row.current_revision.version}") for row in self._endpoints()
                if row.current_revision is not None]  # fmt: skip
        versions = self._versions().order_by("-pk")[:OFFERED]
        return {
            "data": [(str(row.pk), f"{row}, {row.row_count or 0:,} rows") for row in rows],
            "scorers": [("Endpoints", live), ("Versions", [(f"version:{row.pk}", str(row)) for row in versions])],
        }

    def _endpoints(self) -> Any:
        return Endpoint.objects.visible_to(self.actor).in_project(self.project).with_live().order_by("name")[:OFFERED]

    def _versions(self) -> Any:
        rows = ModelVersion.objects.visible_to(self.actor).in_project(self.project)
        return rows.select_related("model__project")

    def _of(self, batch: Batch) -> dict[str, Any]:
        scorer = f"endpoint:{batch.endpoint_id}" if batch.endpoint_id else f"version:{batch.version_id}"
        return {
            "data": str(batch.dataset_version_id), "scorer": scorer, "keep": ", ".join(batch.keep), "name": batch.name,
            "most_refused": batch.most_refused,
        }  # fmt: skip

    def _show(self, request: HttpRequest, form: BatchForm, *, status: int = 200) -> HttpResponse:
        return render(request, "deployments/batch_new.html", {"form": form}, status=status)


class _OneBatch(ProjectView):
    """Loads the batch scoring that the address names."""

    abstract = True
    reads = Batch
    permission = Permission.MODEL_VIEW

    def load(self, number: int) -> Batch:
        """Return it."""
        found: Batch = self.find(self.rows().in_project(self.project).with_subject(), pk=min(number, 2**62))
        return found


class BatchDetail(_OneBatch):
    """One batch scoring: how far it is, or what came out."""

    reads = Batch
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, batch: int) -> HttpResponse:
        found = self.load(batch)
        context = {
            "batch": found, "errors": batches.errors(self.actor, batch=found), **_figures(found.distribution),
            "stop_url": reverse("deployments:batch-cancel", args=[self.project.slug, found.pk]),
            "continues": found.state in (WorkState.FAILED, WorkState.TIMED_OUT),
        }  # fmt: skip
        return render(request, "deployments/batch_detail.html", context)


class BatchProgress(_OneBatch):
    """The progress card alone, for polling; the page reloads itself once when the scoring ends."""

    reads = Batch
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, batch: int) -> HttpResponse:
        found = self.load(batch)
        response = render(request, "deployments/_batch_progress.html", {"batch": found})
        if found.is_terminal:
            response["HX-Refresh"] = "true"
        return response


class BatchCancel(_OneBatch):
    """Stop a batch scoring."""

    reads = Batch
    permission = Permission.JOB_CANCEL
    http_method_names = ["post"]

    def post(self, request: HttpRequest, batch: int) -> HttpResponse:
        found = self.load(batch)
        try:
            batches.cancel(self.actor, batch=found)
            messages.success(request, "The scoring is being stopped. No dataset is made of it.")
        except Conflict as error:
            messages.info(request, error.message)
        return see(address(found))


class BatchRetry(_OneBatch):
    """Go on with a batch scoring."""

    reads = Batch
    permission = Permission.JOB_LAUNCH
    http_method_names = ["post"]

    def post(self, request: HttpRequest, batch: int) -> HttpResponse:
        found = self.load(batch)
        try:
            batches.retry(self.actor, batch=found)
            messages.success(request, "It goes on where it stopped.")
        except DomainError as error:
            if error.status != 409:
                raise
            messages.info(request, error.message)
        return see(address(found))


def _figures(spread: dict[str, Any]) -> dict[str, Any]:
    """Return the scores as a histogram with what it says in words, and the labels with their shares."""
    labels = spread.get("labels", [])
    answered = sum(row["count"] for row in labels)
    out: dict[str, Any] = {"labels": [row | {"share": row["count"] / answered} for row in labels]}
    if score := spread.get("score"):
        words = f"From {score['min']:.3g} to {score['max']:.3g}, on average {score['mean']:.3g}."
        bins = list(zip(score["edges"][:-1], score["edges"][1:], score["counts"], strict=True))
        figure: dict[str, Any] = {
            "kind": "columns", "xt": score["column"], "yt": "Rows", "x": [(low + high) / 2 for low, high, _ in bins],
            "y": score["counts"], "width": bins[0][1] - bins[0][0], "label": words,
        }  # fmt: skip
        out |= {"score": score, "score_words": words, "score_figure": json.dumps(figure), "bins": bins}
    return out
