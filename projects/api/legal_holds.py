"""REST routes of legal holds."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib import names
from mlportal.lib.errors import Invalid
from mlportal.lib.moments import Span
from projects.access import ScopedAPIView
from projects.models import Dataset, LegalHold
from projects.permissions import Permission
from projects.services import legal_holds, past
from projects.services.past import Section

P = Permission
PAGES = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]


class LegalHoldSerializer(serializers.ModelSerializer[LegalHold]):
    """A hold; without a dataset it keeps the whole project, and it stands until ``lifted_at``."""

    dataset = serializers.CharField(source="dataset.name", allow_null=True, default=None, read_only=True)
    placed_by = serializers.CharField(source="placed_by.username", read_only=True)
    lifted_by = serializers.CharField(source="lifted_by.username", allow_null=True, default=None, read_only=True)

    class Meta:
        model = LegalHold
        fields = (
            "id", "dataset", "reason", "placed_by", "placed_at", "lifted_by", "lifted_at", "lift_reason",
        )  # fmt: skip
        read_only_fields = fields


class NewLegalHoldSerializer(serializers.Serializer[Any]):
    """What to keep and why."""

    dataset = serializers.CharField(
        max_length=200, required=False, allow_null=True, help_text="Name of a dataset; without it the whole project."
    )
    reason = serializers.CharField(max_length=1000, help_text="At least 10 characters.")


class LiftLegalHoldSerializer(serializers.Serializer[Any]):
    """Why it need not be kept any more."""

    reason = serializers.CharField(max_length=1000, help_text="At least 10 characters.")


class LegalHolds(ScopedAPIView):
    """Holds of a project."""

    reads = LegalHold
    permissions: ClassVar = {"GET": P.AUDIT_VIEW, "POST": P.PROJECT_EDIT}

    def past(self, span: Span) -> list[Section]:
        """Those that stood then."""
        return past.legal_holds(self.project, span)

    @extend_schema(
        operation_id="legal_holds_list", tags=["legal holds"], responses=LegalHoldSerializer(many=True),
        parameters=PAGES,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List those that stand and those that were lifted, newest first."""
        del request
        rows = self.rows().filter(project=self.project).select_related("dataset", "placed_by", "lifted_by")
        return self.page(rows, LegalHoldSerializer)

    @extend_schema(
        operation_id="legal_holds_place", tags=["legal holds"], request=NewLegalHoldSerializer,
        responses={201: LegalHoldSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Place a hold: nothing that it covers is removed for good until it is lifted."""
        asked = NewLegalHoldSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        dataset = self._dataset(asked.validated_data.get("dataset"))
        reason = asked.validated_data["reason"]
        made = legal_holds.place(self.actor, project=self.project, dataset=dataset, reason=reason)
        return Response(LegalHoldSerializer(made).data, status=201)

    def _dataset(self, name: str | None) -> Dataset | None:
        if name is None:
            return None
        rows = Dataset.objects.filter(project=self.project, name_key=names.key(name))
        found = rows.filter(deleted_at=None).first() or rows.order_by("-deleted_at").first()  # the newest of the trash
        if found is None:
            raise Invalid("There is no dataset with this name.", field="dataset", got=name)
        return found


class LegalHoldLift(ScopedAPIView):
    """The end of a hold."""

    reads = LegalHold
    permissions: ClassVar = {"POST": P.PROJECT_EDIT}

    @extend_schema(
        operation_id="legal_holds_lift", tags=["legal holds"], request=LiftLegalHoldSerializer,
        responses=LegalHoldSerializer,
    )  # fmt: skip
    def post(self, request: Request, pk: int) -> Response:
        """Lift it, with a reason."""
        asked = LiftLegalHoldSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        rows = self.rows().filter(project=self.project).select_related("project", "dataset", "placed_by")
        done = legal_holds.lift(self.actor, hold=self.find(rows, pk=pk), reason=asked.validated_data["reason"])
        return Response(LegalHoldSerializer(done).data)
