"""Pages of registered models: the list, one model, and registration."""

import re
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from deployments import gates, queries
from deployments.forms import RegisterForm
from deployments.models import (
    Alias,
    Environment,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
)
from deployments.services import (
    model_listing,
    past,
    registry,
    serving,
)
from deployments.views.answers import see
from deployments.views.past import evidence_of
from deployments.views.versions import address as version_address
from experiments.models import Run
from experiments.training.catalogue import METRICS
from mlportal.lib.errors import DomainError, Invalid, Missing
from mlportal.lib.moments import Span
from projects.access import ProjectView
from projects.permissions import Permission
from projects.services.past import Section

PAGE_ROWS = 50
TAGS = 100


class ModelList(ProjectView):
    """The project's models by name, with their newest version and where they are live."""

    reads = RegisteredModel
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        chosen, trouble = model_listing.Chosen.read(request.GET), ""
        try:
            found, after = model_listing.page(self.actor, project=self.project, chosen=chosen)
        except Invalid as error:
            found, after, trouble = [], "", error.message
        context = {
            "lines": queries.model_lines(found),
            "chosen": chosen,
            "trouble": trouble,
            "filtered": any((chosen.query, chosen.risk, chosen.owner, chosen.environment, chosen.after)),
            "risks": RegisteredModel.Risk.choices[1:],
            "owners": model_listing.owners(self.actor, project=self.project),
            "environments": Environment.objects.in_project(self.project).open().order_by("-position"),
            "sorts": [(key, label) for key, (_, label) in model_listing.SORTS.items()],
            "after": after,
            "waiting": PromotionRequest.objects.in_project(self.project).pending().count(),
        }
        return render(request, "deployments/model_list.html", context, status=422 if trouble else 200)

    def past(self, span: Span) -> list[Section]:
        return past.models(self.project, span)

    def past_heading(self, **kwargs: Any) -> str:
        del kwargs
        return "Models"

    def past_evidence(self, **kwargs: Any) -> dict[str, str]:
        del kwargs
        return evidence_of(self.project)


class ModelDetail(ProjectView):
    """One model: versions, aliases, where it answers, open requests."""

    reads = RegisteredModel
    permission = Permission.MODEL_VIEW

    def past(self, span: Span, name: str) -> list[Section]:
        model = self.find(self.rows().in_project(self.project).select_related("project", "owner"), name=name)
        return past.model(self.project, span, model=model)

    def past_evidence(self, **kwargs: Any) -> dict[str, str]:
        return evidence_of(self.project, kwargs["name"])

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        model = self.find(
            self.rows().in_project(self.project).select_related("created_by", "project", "owner"), name=name
        )
        versions = model.versions.select_related("run", "created_by", "dataset_version__dataset").order_by("-number")
        before = request.GET.get("before", "")
        if before.isascii() and before.isdigit():
            versions = versions.filter(number__lt=int(before[:9]))
        found = list(versions[: PAGE_ROWS + 1])
        keys = gates.metric_keys(found[0])[:4] if found else []
        context = {
            "model": model,
            "versions": queries.version_lines(found[:PAGE_ROWS], keys),
            "columns": [METRICS[key] for key in keys],
            "before": found[PAGE_ROWS - 1].number if len(found) > PAGE_ROWS else "",
            "strips": serving.strips(self.actor, model=model),
            "aliases": Alias.objects.filter(model=model, valid_to=None).select_related("version").order_by("name"),
            "tags": model.tag_rows.order_by("key")[:TAGS],
            "requests": PromotionRequest.objects.pending().with_subject().filter(version__model=model).order_by("-pk"),
        }
        return render(request, "deployments/model_detail.html", context)


class ModelRegister(ProjectView):
    """Register the model of a run."""

    reads = RegisteredModel
    permission = Permission.MODEL_REGISTER

    def get(self, request: HttpRequest) -> HttpResponse:
        asked = request.GET.get("run", "")
        run = self._run(asked) if asked.isascii() and asked.isdigit() else None
        known = self._known(run)
        form = RegisterForm(initial={"run": run.pk if run else "", "model_name": known})
        return self._show(request, form, run)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = RegisterForm(request.POST)
        run = None
        if form.is_valid():
            values = form.cleaned_data
            try:
                run = self._run(values["run"])
                if run is None:
                    raise Missing(f"There is no run {values['run']} in this project.", field="run")
                version = registry.register(
                    self.actor, run=run, model_name=values["model_name"], description=values["description"]
                )
            except DomainError as error:
                if error.status == 403:
                    raise
                form.refuse(error)
            else:
                messages.success(request, f"{version} is registered and signed.")
                return see(version_address(version))
        return self._show(request, form, run, status=422)

    def _run(self, number: Any) -> Run | None:
        rows = Run.objects.visible_to(self.actor).in_project(self.project).select_related("experiment", "project")
        return rows.filter(pk=min(int(number), 2**62)).first()

    def _known(self, run: Run | None) -> str:
        """Propose the model that the experiment's earlier runs went to."""
        if run is None:
            return ""
        rows = ModelVersion.objects.filter(run__experiment=run.experiment_id).select_related("model").order_by("-pk")
        last = rows.first()
        if last is not None:
            return last.model.name
        return re.sub(r"[^A-Za-z0-9._-]+", "-", run.experiment.name).strip("-._")[:80]

    def _show(self, request: HttpRequest, form: RegisterForm, run: Run | None, *, status: int = 200) -> HttpResponse:
        known = RegisteredModel.objects.in_project(self.project).order_by("name")[:50]
        return render(
            request, "deployments/model_register.html", {"form": form, "run": run, "known": known}, status=status
        )
