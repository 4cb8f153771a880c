"""REST routes of models, versions and aliases."""

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from deployments import gates
from deployments.api import model_shapes, shapes
from deployments.models import Alias, Explanation, ModelVersion, RegisteredModel
from deployments.services import aliases, bundles, explanations, model_facts, model_listing, packages, past, registry
from experiments.models import Run
from experiments.services import delivery
from mlportal.lib.errors import Missing
from mlportal.lib.moments import Span
from projects.access import ScopedAPIView
from projects.permissions import Permission
from projects.services.past import Section

P = Permission
PAGE = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]
TAGS = ["models"]
CHOICES = [OpenApiParameter(name, str) for name in ("q", "risk", "owner", "environment")]


def checked(serializer: Any, request: Request) -> dict[str, Any]:
    """Return the values of a body, or refuse it field by field."""
    asked = serializer(data=request.data)
    asked.is_valid(raise_exception=True)
    return dict(asked.validated_data)


class InProject(ScopedAPIView):
    """Finds models and versions by the names in the address."""

    abstract = True
    reads = RegisteredModel
    permissions = {"GET": P.MODEL_VIEW}

    def model(self, name: str) -> RegisteredModel:
        """Return the model of that name."""
        rows = RegisteredModel.objects.visible_to(self.actor).in_project(self.project)
        return self.find(rows.select_related("created_by", "project", "owner").prefetch_related("tag_rows"), name=name)

    def version(self, name: str, number: int) -> ModelVersion:
        """Return one version of the model of that name."""
        rows = ModelVersion.objects.visible_to(self.actor).in_project(self.project).with_origin()
        return self.find(rows, model__name=name, number=min(number, 2**31 - 1))


class Models(ScopedAPIView):
    """Models of a project."""

    reads = RegisteredModel
    permissions = {"GET": P.MODEL_VIEW}

    def past(self, span: Span) -> list[Section]:
        """Return the registry as it was."""
        return past.models(self.project, span)

    @extend_schema(
        operation_id="models_list",
        tags=TAGS,
        responses=model_shapes.ModelSerializer(many=True),
        parameters=[*PAGE, *CHOICES],
    )
    def get(self, request: Request) -> Response:
        """List models, newest first; ``q``, ``risk``, ``owner`` and ``environment`` choose, ``none`` is without."""
        chosen = model_listing.Chosen.read(request.GET)
        rows = model_listing.find(self.actor, project=self.project, chosen=chosen)
        return self.page(rows.prefetch_related("tag_rows"), model_shapes.ModelSerializer)


class ModelDetail(InProject):
    """One model."""

    reads = RegisteredModel
    permissions = {"GET": P.MODEL_VIEW, "PATCH": P.MODEL_REGISTER}

    def past(self, span: Span, name: str) -> list[Section]:
        """Return the model as it was."""
        return past.model(self.project, span, model=self.model(name))

    @extend_schema(operation_id="models_read", tags=TAGS, responses=model_shapes.ModelSerializer)
    def get(self, request: Request, name: str) -> Response:
        """Read one model."""
        del request
        return Response(model_shapes.ModelSerializer(self.model(name)).data)

    @extend_schema(
        operation_id="models_describe",
        tags=TAGS,
        request=model_shapes.ModelFactsSerializer,
        responses=model_shapes.ModelSerializer,
    )
    def patch(self, request: Request, name: str) -> Response:
        """Change what is said of a model; what is left out stays."""
        values = checked(model_shapes.ModelFactsSerializer, request)
        return Response(
            model_shapes.ModelSerializer(model_facts.edit(self.actor, model=self.model(name), **values)).data
        )


class Versions(InProject):
    """Versions of a model; registering makes the model when it is new."""

    reads = ModelVersion
    permissions = {"GET": P.MODEL_VIEW, "POST": P.MODEL_REGISTER}

    def past(self, span: Span, name: str) -> list[Section]:
        """Return the versions there were."""
        return past.versions(self.model(name), span)

    @extend_schema(
        operation_id="versions_list", tags=TAGS, responses=shapes.ModelVersionSerializer(many=True), parameters=PAGE
    )
    def get(self, request: Request, name: str) -> Response:
        """List versions, newest first."""
        del request
        rows = self.rows().filter(model=self.model(name)).with_origin().defer("reference_grids", "importance")
        return self.page(rows, shapes.ModelVersionSerializer, ordering="-number")

    @extend_schema(
        operation_id="versions_register",
        tags=TAGS,
        request=shapes.RegisterSerializer,
        responses={201: shapes.ModelVersionDetailSerializer},
    )
    def post(self, request: Request, name: str) -> Response:
        """Register the model of a finished run as the next version; its files are hashed and signed."""
        values = checked(shapes.RegisterSerializer, request)
        runs = Run.objects.visible_to(self.actor).in_project(self.project).select_related("project")
        run = runs.filter(pk=values["run"]).first()
        if run is None:
            raise Missing(f"There is no run {values['run']} in this project.", field="run")
        version = registry.register(self.actor, run=run, model_name=name, description=values["description"])
        return Response(shapes.ModelVersionDetailSerializer(version).data, status=201)


class VersionDetail(InProject):
    """One version."""

    reads = ModelVersion
    permissions = {"GET": P.MODEL_VIEW}

    def past(self, span: Span, name: str, number: int) -> list[Section]:
        """Return where the version answered."""
        version = self.version(name, number)
        rows = past.traffic(self.project, span, version=version)
        return [*past.answers(rows), *past.versions(version.model, span, pk=version.pk)]

    @extend_schema(operation_id="versions_read", tags=TAGS, responses=shapes.ModelVersionDetailSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read one version with its manifest, schema and signature."""
        del request
        return Response(shapes.ModelVersionDetailSerializer(self.version(name, number)).data)


class VersionVerify(InProject):
    """Check of a version."""

    reads = ModelVersion
    permissions = {"POST": P.MODEL_VIEW}

    @extend_schema(operation_id="versions_verify", tags=TAGS, request=None, responses=shapes.VerificationSerializer)
    def post(self, request: Request, name: str, number: int) -> Response:
        """Hash every file again and check the signature."""
        del request
        version = self.version(name, number)
        damaged = registry.verify(self.actor, version=version)
        return Response({"ok": not damaged, "signature_valid": gates.signed(version), "damaged": list(damaged)})


class VersionExport(InProject):
    """A version to take along."""

    reads = ModelVersion
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(
        operation_id="versions_export", tags=TAGS, responses={(200, "application/zip"): OpenApiTypes.BINARY},
        parameters=[OpenApiParameter("kind", str, enum=bundles.KINDS, description="With what runs it elsewhere.")],
    )  # fmt: skip
    def get(self, request: Request, name: str, number: int) -> HttpResponseBase:
        """Send files, manifest, provenance, signatures and public keys as a zip that can be checked anywhere."""
        version, kind = self.version(name, number), request.query_params.get("kind", "")
        if not kind:
            return delivery.folder(packages.export(self.actor, version=version), f"{name}-v{number}")
        return delivery.folder(bundles.export(self.actor, version=version, kind=kind), f"{name}-v{number}-{kind}")


class VersionExplanation(InProject):
    """Explanation of single predictions of a version."""

    reads = ModelVersion
    permissions = {"GET": P.MODEL_VIEW, "POST": P.MODEL_REGISTER}

    @extend_schema(operation_id="versions_explanation", tags=TAGS, responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read contributions per row and dependence curves; values of columns that are hidden from you are masked."""
        del request
        version = self.version(name, number)
        work = explanations.found(self.actor, version=version)
        if work is None:  # nobody asked yet; POST here does
            return Response({"state": "none", "progress": 0.0, "failure": "", "result": None})
        return Response(self._told(version, work))

    @extend_schema(operation_id="versions_explain", tags=TAGS, request=None, responses={202: OpenApiTypes.OBJECT})
    def post(self, request: Request, name: str, number: int) -> Response:
        """Have a version explained; asked again it is the same explanation."""
        del request
        version = self.version(name, number)
        return Response(self._told(version, explanations.ask(self.actor, version=version)), status=202)

    def _told(self, version: ModelVersion, work: Explanation) -> dict[str, Any]:
        found = work.result and explanations.readable(self.actor, version=version, result=work.result)
        return {"state": work.state, "progress": work.progress, "failure": work.failure, "result": found}


class Aliases(InProject):
    """Names that point at versions."""

    reads = RegisteredModel
    permissions = {"GET": P.MODEL_VIEW}

    def past(self, span: Span, name: str) -> list[Section]:
        """Return the aliases there were."""
        return past.aliases(self.model(name), span)

    @extend_schema(operation_id="aliases_list", tags=TAGS, responses=shapes.AliasSerializer(many=True), parameters=PAGE)
    def get(self, request: Request, name: str) -> Response:
        """List the aliases of a model."""
        del request
        rows = Alias.objects.filter(model=self.model(name), valid_to=None).select_related("version", "set_by")
        return self.page(rows, shapes.AliasSerializer)


class AliasDetail(InProject):
    """One alias."""

    reads = RegisteredModel
    permissions = {"PUT": P.MODEL_REGISTER, "DELETE": P.MODEL_REGISTER}

    @extend_schema(
        operation_id="aliases_set", tags=TAGS, request=shapes.SetAliasSerializer, responses=shapes.AliasSerializer
    )
    def put(self, request: Request, name: str, alias: str) -> Response:
        """Point a name at a version. Names of environments are refused: only a promotion moves those."""
        values = checked(shapes.SetAliasSerializer, request)
        made = aliases.point(self.actor, version=self.version(name, values["version"]), name=alias)
        return Response(shapes.AliasSerializer(made).data)

    @extend_schema(operation_id="aliases_remove", tags=TAGS, responses={204: None})
    def delete(self, request: Request, name: str, alias: str) -> Response:
        """End a name."""
        del request
        aliases.end(self.actor, model=self.model(name), name=alias)
        return Response(status=204)
