"""Pages of one model version: what it is, its verification, export and conversion, and the question for a promotion."""

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from deployments import gates
from deployments.forms import RequestForm
from deployments.models import (
    EndpointRevision,
    Environment,
    ModelVersion,
    Policy,
)
from deployments.services import (
    breakglass,
    bundles,
    compared,
    conversions,
    examples,
    explanations,
    ledger,
    packages,
    past,
    policies,
    promotions,
    registry,
    reproductions,
    ways,
)
from deployments.views import again, explained, version_metrics
from deployments.views.answers import see
from deployments.views.ledger import gap_lines
from deployments.views.promotions import address as promotion_address
from experiments.queries import facts_of
from experiments.services import delivery
from experiments.views import environment
from experiments.views.places import Place
from mlportal.lib.errors import Conflict, DomainError
from mlportal.lib.moments import Span
from projects.access import ProjectView
from projects.models import Project
from projects.permissions import Permission, allowed
from projects.services.past import Section

OTHERS = 50
TAGS = 100


def address(version: ModelVersion) -> str:
    """Return the address of a version's page."""
    model = version.model
    return reverse("deployments:version-detail", args=[model.project.slug, model.name, version.number])


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
    return [f"{version.model.name}@{number}" for number in rows[:OTHERS]]
