"""Pages of models and versions: lists, registration, verification, and the question for a promotion."""

import re
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from deployments import gates, queries
from deployments.forms import RegisterForm, RequestForm
from deployments.models import (
    Alias,
    EndpointRevision,
    Environment,
    ModelVersion,
    Policy,
    PromotionRequest,
    RegisteredModel,
)
from deployments.services import (
    breakglass,
    bundles,
    compared,
    conversions,
    examples,
    explanations,
    ledger,
    model_listing,
    packages,
    past,
    policies,
    promotions,
    registry,
    reproductions,
    serving,
    ways,
)
from deployments.views import again, explained, version_metrics
from deployments.views.answers import see
from deployments.views.ledger import gap_lines
from deployments.views.past import evidence_of
from deployments.views.promotions import address as promotion_address
from experiments.models import Run
from experiments.queries import facts_of
from experiments.services import delivery
from experiments.training.catalogue import METRICS
from experiments.views import environment
from experiments.views.places import Place
from mlportal.lib.errors import Conflict, DomainError, Invalid, Missing
from mlportal.lib.moments import Span
from projects.access import ProjectView
from projects.models import Project
from projects.permissions import Permission, allowed
from projects.services.past import Section

PAGE_ROWS = 50
TAGS = 100


def address(version: ModelVersion) -> str:
    """Return the address of a version's page."""
    model = version.model
    return reverse("deployments:version-detail", args=[model.project.slug, model.name, version.number])


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
                return see(address(version))
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


class OneVersion(ProjectView):
    """Loads the version that the address names."""

    abstract = True
    reads = ModelVersion
    permission = Permission.MODEL_VIEW

    def load(self, name: str, number: int) -> ModelVersion:
        """Return the version with its origin."""
        rows = self.rows().in_project(self.project).with_origin().select_related("run__experiment", "logged_model")
        found: ModelVersion = self.find(rows, model__name=name, number=number)
        return found

    def environments(self) -> QuerySet[Environment]:
        """Return where versions of this project can go, production first."""
        return Environment.objects.in_project(self.project).open().order_by("-position")

    def reachable(self, version: ModelVersion) -> QuerySet[Environment]:
        """Return where an allowed move leads from where the version stands; everything when none does."""
        known, stands = ways.of(self.project), ways.standing(version)
        able = [place for place in known.places if known.leads(stands, place)]
        return self.environments().filter(pk__in=able) if able else self.environments()

    def show(
        self, request: HttpRequest, version: ModelVersion, *, form: RequestForm | None = None, status: int = 200
    ) -> HttpResponse:
        """Render the page."""
        context = {
            "version": version,
            **version_metrics.of(version),
            "form": form or RequestForm(environments=self.reachable(version)),
            "requests": version.promotion_requests.with_subject().order_by("-pk")[:20],
            "revisions": EndpointRevision.objects.filter(version=version).select_related(
                "endpoint__environment", "endpoint__current_revision"
            ).order_by("-pk")[:20],
            "public_keys": packages.public_keys(version),
            "cargo": gates.cargo(version),
            "unbundled": bundles.why_not(version),
            "aliases": version.aliases.filter(valid_to=None).order_by("name"),
            "tags": version.tag_rows.order_by("key")[:TAGS],
            "ask_address": f"{address(version)}request/",
            "environment": _environment(self.project, version),
            "example": examples.of(version),
            "others": _others(version),
            "explained": explained.card(self.actor, version, request.GET.get("row", "")),
            "reproduced": self.reproduced(version), "gaps": gap_lines(ledger.gaps_of([version])),
            "break_glass": self._break_glass(),
        }  # fmt: skip
        return render(request, "deployments/version_detail.html", context, status=status)

    def reproduced(self, version: ModelVersion) -> again.Shown:
        """Return whether the version came out again, as the card shows it."""
        rows = list(reproductions.found(self.actor, version=version)[: again.SHOWN])
        return again.Shown(rows, reproductions.why_not(version))

    def _break_glass(self) -> list[Environment]:
        """Return where this reader could put a version live without an approval."""
        if not allowed(self.actor, Permission.ENDPOINT_DEPLOY, self.project):
            return []
        return list(self.environments().filter(policies__state=Policy.State.ACTIVE, policies__allow_break_glass=True))


class VersionDetail(OneVersion):
    """One version: metrics, schema, manifest, lineage, verification, requests."""

    reads = ModelVersion
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        return self.show(request, self.load(name, number))

    def past(self, span: Span, name: str, number: int) -> list[Section]:
        version = self.load(name, number)
        rows = past.traffic(self.project, span, version=version)
        return [*past.answers(rows), *past.versions(version.model, span, pk=version.pk)]

    def past_heading(self, **kwargs: Any) -> str:
        return f"{kwargs['name']} v{kwargs['number']}"


class VersionVerify(OneVersion):
    """Check a version against its files."""

    reads = ModelVersion
    permission = Permission.MODEL_VIEW

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        damaged = registry.verify(self.actor, version=version)
        if damaged:
            messages.error(request, f"{version} is damaged. {damaged[0]}")
        else:
            messages.success(request, f"Every file of {version} matches its hash and the signature is valid.")
        return see(address(version))


class VersionExport(OneVersion):
    """A version to take along, or with ``kind`` to run elsewhere."""

    reads = ModelVersion
    permission = Permission.MODEL_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponseBase:
        version, kind = self.load(name, number), request.GET.get("kind", "")
        if not kind:
            return delivery.folder(packages.export(self.actor, version=version), f"{name}-v{number}")
        return delivery.folder(bundles.export(self.actor, version=version, kind=kind), f"{name}-v{number}-{kind}")


class VersionExplain(OneVersion):
    """The explanation alone, and asking for it."""

    reads = ModelVersion
    permission = Permission.MODEL_VIEW
    write_permission = Permission.MODEL_REGISTER  # it takes a worker; who may only look sees what was computed

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Show the card of one row; htmx asks while a worker computes."""
        version = self.load(name, number)
        told = explained.card(self.actor, version, request.GET.get("row", ""))
        return render(
            request,
            "deployments/_explained.html",
            {"version": version, "explained": told, "cargo": gates.cargo(version)},
        )

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Have the version explained."""
        version = self.load(name, number)
        try:
            explanations.ask(self.actor, version=version)
        except Conflict as error:
            messages.error(request, error.message)
        return see(f"{address(version)}#explain")


class VersionConvert(OneVersion):
    """Have the estimator converted to ONNX."""

    reads = ModelVersion
    permission = Permission.MODEL_REGISTER

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        try:
            conversions.ask(self.actor, version=version)
        except Conflict as error:
            messages.error(request, error.message)
        return see(f"{address(version)}#conversion")


class VersionRequest(OneVersion):
    """Ask that a version goes live."""

    reads = ModelVersion
    permission = Permission.PROMOTION_REQUEST

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        policies.ensure(self.project)
        form = RequestForm(request.POST, environments=self.environments())
        if form.is_valid():
            values = form.cleaned_data
            try:
                made = promotions.request(
                    self.actor, version=version, environment=values["environment"], reason=values["reason"]
                )
            except DomainError as error:
                if error.status == 403:
                    raise
                form.refuse(error)
            else:
                messages.success(request, f"Promotion {made.pk} is open. A worker measures {version.label} now.")
                return see(promotion_address(made))
        return self.show(request, version, form=form, status=422)


class VersionBreakGlass(OneVersion):
    """Put a version live without an approval; somebody else looks at it afterwards."""

    reads = ModelVersion
    permission = Permission.ENDPOINT_DEPLOY

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        place = self.find(self.environments().select_related("project"), name=request.POST.get("environment", ""))
        try:
            made = breakglass.promote(
                self.actor, version=version, environment=place, reason=request.POST.get("reason", "")
            )
        except DomainError as error:
            if error.status == 403:
                raise
            messages.error(request, f"Nothing was changed. {error.message}")
            return self.show(request, version, status=409 if error.status == 409 else 422)
        messages.success(request, f"{version.label} is live without an approval. A second look waits for a manager.")
        return see(promotion_address(made))


def _environment(project: Project, version: ModelVersion) -> environment.Environment:
    """Return code and packages as the run recorded them; of a version without a run the packages alone."""
    facts = facts_of([version.run.pk], []) if version.run else []
    found = environment.read(facts[0], Place(facts[0].run, project.slug)) if facts else environment.Environment()
    found.packages = found.packages or sorted(compared.packages(version).items())
    return found


def _others(version: ModelVersion) -> list[str]:
    """Name the newest other versions of the model, to compare with."""
    rows = version.model.versions.exclude(pk=version.pk).order_by("-number").values_list("number", flat=True)
    return [f"{version.model.name}@{number}" for number in rows[:PAGE_ROWS]]
