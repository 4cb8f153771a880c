"""REST routes of batch scorings."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api.models import PAGE, checked
from deployments.models import Batch, Endpoint, ModelVersion
from deployments.services import batches
from mlportal.lib.errors import Invalid
from mlportal.lib.lease import WorkState
from mlportal.lib.names import key
from projects.access import ScopedAPIView
from projects.permissions import Permission
from projects.services import datasets

P = Permission
TAGS = ["batches"]


class BatchScoringSerializer(serializers.ModelSerializer[Batch]):
    """One batch scoring."""

    model = serializers.CharField(source="version.model.name", read_only=True)
    version = serializers.IntegerField(source="version.number", read_only=True)
    endpoint = serializers.CharField(source="endpoint.name", default="", read_only=True)
    dataset = serializers.CharField(source="dataset_version.dataset.name", read_only=True)
    dataset_version = serializers.IntegerField(source="dataset_version.number", read_only=True)
    result = serializers.CharField(source="name", read_only=True, help_text="Dataset that gets the result.")
    result_version = serializers.IntegerField(
        source="output.number", default=None, read_only=True, allow_null=True, help_text="Once it has succeeded."
    )
    created_by = serializers.CharField(source="created_by.username", read_only=True)

    class Meta:
        model = Batch
        fields = (
            "id", "state", "phase", "progress", "failure", "attempt", "model", "version", "endpoint", "dataset",
            "dataset_version", "keep", "result", "result_version", "most_refused", "rows", "rows_done", "rows_refused",
            "backend", "created_by", "created_at", "started_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields


class BatchScoringErrorSerializer(serializers.Serializer[dict[str, Any]]):
    """A row without an answer."""

    row = serializers.IntegerField(help_text="From 1.")
    column = serializers.CharField(help_text="Empty when the model failed on the whole row.")
    message = serializers.CharField()


class BatchScoringDetailSerializer(BatchScoringSerializer):
    """One batch scoring with its first faults and the distribution of its scores."""

    errors = serializers.SerializerMethodField()
    distribution = serializers.DictField(read_only=True, help_text="Scores in bins, and labels, once it has succeeded.")

    class Meta(BatchScoringSerializer.Meta):
        fields = (*BatchScoringSerializer.Meta.fields, "errors", "distribution")
        read_only_fields = fields

    def get_errors(self, batch: Batch) -> list[dict[str, Any]]:
        """Rows without an answer, at most 100."""
        found = batches.errors(self.context["actor"], batch=batch)
        return [dict(row) for row in BatchScoringErrorSerializer(found, many=True).data]


class BatchScoringAskSerializer(serializers.Serializer[dict[str, Any]]):
    """What to score, and with what: a model with its version, or an endpoint."""

    dataset = serializers.CharField(max_length=100)
    dataset_version = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, help_text="By default the newest that is ready."
    )
    model = serializers.CharField(required=False, default="", allow_blank=True, max_length=256)
    version = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1)
    endpoint = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=210, help_text="The version that answers there now."
    )
    keep = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, allow_null=True, default=None, max_length=5_000,
        help_text="Columns to pass through; by default all that the model does not read.",
    )  # fmt: skip
    result = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)
    most_refused = serializers.IntegerField(
        required=False, default=batches.USUAL_REFUSED, min_value=0, max_value=batches.MOST_REFUSED,
        help_text="Rows that may have no answer before it fails.",
    )  # fmt: skip


class Batches(ScopedAPIView):
    """Batch scorings of a project."""

    reads = Batch
    permissions = {"GET": P.MODEL_VIEW, "POST": P.JOB_LAUNCH}

    @extend_schema(
        operation_id="batches_list", tags=TAGS, responses=BatchScoringSerializer(many=True),
        parameters=[OpenApiParameter("state", str, enum=WorkState.values), *PAGE],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List batch scorings, newest first."""
        rows = batches.found(self.actor, project=self.project)
        if state := request.query_params.get("state", ""):
            if state not in WorkState.values:
                raise Invalid(f"There is no state {state[:50]!r}.", field="state", limit=WorkState.values)
            rows = rows.filter(state=state)
        return self.page(rows, BatchScoringSerializer)

    @extend_schema(
        operation_id="batches_start",
        tags=TAGS,
        request=BatchScoringAskSerializer,
        responses={201: BatchScoringSerializer},
    )
    def post(self, request: Request) -> Response:
        """Have a dataset version scored. It is queued when this answers; read it to follow it."""
        given = checked(BatchScoringAskSerializer, request)
        data = datasets.ready_version(
            self.actor, project=self.project, name=given["dataset"], number=given["dataset_version"]
        )
        made = batches.start(
            self.actor, dataset_version=data, version=self._version(given["model"], given["version"]),
            endpoint=self._endpoint(given["endpoint"]), keep=given["keep"], name=given["result"],
            most_refused=given["most_refused"],
        )  # fmt: skip
        return Response(BatchScoringSerializer(made).data, status=201)

    def _version(self, model: str, number: int | None) -> ModelVersion | None:
        if not model:
            return None
        if number is None:
            raise Invalid("Name the version of the model.", field="version")
        rows = ModelVersion.objects.visible_to(self.actor).in_project(self.project).with_origin()
        return self.find(rows, model__name=model, number=min(number, 2**31 - 1))

    def _endpoint(self, name: str) -> Endpoint | None:
        rows = Endpoint.objects.visible_to(self.actor).in_project(self.project).with_live()
        return self.find(rows, name_key=key(name)) if name else None


class OneBatch(ScopedAPIView):
    """Finds the batch scoring that the address names."""

    abstract = True
    reads = Batch
    permissions = {"GET": P.MODEL_VIEW}

    def one(self, number: int) -> Batch:
        """Return it."""
        rows = self.rows().in_project(self.project).with_subject()
        found: Batch = self.find(rows, pk=min(number, 2**62))
        return found


class BatchDetail(OneBatch):
    """One batch scoring."""

    reads = Batch
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(operation_id="batches_read", tags=TAGS, responses=BatchScoringDetailSerializer)
    def get(self, request: Request, batch: int) -> Response:
        """Read how far it is, the first rows without an answer, and the distribution of the scores."""
        del request
        return Response(BatchScoringDetailSerializer(self.one(batch), context={"actor": self.actor}).data)


class BatchCancel(OneBatch):
    """Stopping a batch scoring."""

    reads = Batch
    permissions = {"POST": P.JOB_CANCEL}

    @extend_schema(operation_id="batches_cancel", tags=TAGS, request=None, responses=BatchScoringSerializer)
    def post(self, request: Request, batch: int) -> Response:
        """Stop it: at once while it waits, within seconds while it works. No dataset is made."""
        del request
        return Response(BatchScoringSerializer(batches.cancel(self.actor, batch=self.one(batch))).data)


class BatchRetry(OneBatch):
    """Going on with a batch scoring."""

    reads = Batch
    permissions = {"POST": P.JOB_LAUNCH}

    @extend_schema(operation_id="batches_retry", tags=TAGS, request=None, responses=BatchScoringSerializer)
    def post(self, request: Request, batch: int) -> Response:
        """Go on with one that failed or took too long; finished chunks are not scored again."""
        del request
        return Response(BatchScoringSerializer(batches.retry(self.actor, batch=self.one(batch))).data)
