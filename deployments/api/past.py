"""REST routes of the auditor's question."""

from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api.models import checked
from deployments.models import RegisteredModel
from deployments.services import past, past_evidence
from deployments.views.past import asked, download
from mlportal.lib.errors import Invalid
from mlportal.lib.moments import Span
from projects.access import ScopedAPIView
from projects.permissions import Permission
from projects.services import past as people
from projects.services.past import Section

P = Permission
TAGS = ["audit"]
AS_OF = OpenApiParameter("as_of", str, required=True, description="Date (the whole day) or time, UTC.")


class EvidenceSerializer(serializers.Serializer[Any]):
    """What to prove."""

    as_of = serializers.CharField(max_length=40, help_text="Date (the whole day) or time, UTC.")
    model = serializers.CharField(max_length=256, required=False, help_text="Only this model.")


class Production(ScopedAPIView):
    """What was in production, who allowed it, and who could have."""

    reads = RegisteredModel
    permissions = {"GET": P.MODEL_VIEW}

    def past(self, span: Span) -> list[Section]:
        """Return the answer."""
        rules, members = past.policies(self.project, span), people.members(self.project, span)
        return [*past.production(self.project, span), *rules, *members]

    @extend_schema(operation_id="production_read", tags=TAGS, parameters=[AS_OF], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """Read what answered at a moment, by whose permission, under which rules, and who could have approved."""
        raise Invalid("as_of is needed: a date such as 2026-03-12 or a time.", field="as_of")


class ProductionEvidence(ScopedAPIView):
    """The same as files."""

    reads = RegisteredModel
    permissions = {"POST": P.AUDIT_VIEW}
    idempotent = False  # a file is not kept

    @extend_schema(
        operation_id="production_evidence",
        tags=TAGS,
        request=EvidenceSerializer,
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def post(self, request: Request) -> HttpResponseBase:  # type: ignore[override]  # a file
        """Export JSON and CSV with a signed manifest, in a zip. The export is an entry of the audit log itself."""
        values = checked(EvidenceSerializer, request)
        span, rows = asked(values["as_of"]), self.rows().in_project(self.project)
        model = self.find(rows, name=values["model"]) if "model" in values else None
        return download(
            past_evidence.export(self.actor, project=self.project, span=span, model=model), self.project, span
        )
