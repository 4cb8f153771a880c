"""REST routes of searches for one person."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.models import PersonSearch
from deployments.services import persons
from projects.access import ScopedAPIView
from projects.permissions import Permission

P = Permission
TAGS = ["persons"]


class PersonSearchSerializer(serializers.ModelSerializer[PersonSearch]):
    """A search; who it was about is not kept."""

    asked_by = serializers.CharField(source="asked_by.username", read_only=True)

    class Meta:
        model = PersonSearch
        fields = ("id", "ticket", "erase", "state", "phase", "failure", "asked_by", "asked_at", "ended_at")
        read_only_fields = fields


class FoundPersonSerializer(PersonSearchSerializer):
    """The same with what was found: dataset versions, predictions, models that learned from them, what was erased."""

    result = serializers.JSONField(read_only=True, allow_null=True)

    class Meta(PersonSearchSerializer.Meta):
        fields = (*PersonSearchSerializer.Meta.fields, "result")
        read_only_fields = fields


class NewPersonSearchSerializer(serializers.Serializer[Any]):
    """Who is looked for."""

    person = serializers.CharField(max_length=persons.LONGEST, help_text="Value of a column that is marked personal.")
    ticket = serializers.CharField(max_length=100, help_text="Number of the letter or case; this is kept.")
    erase = serializers.BooleanField(default=False, help_text="Also delete them from the prediction log.")


class PersonSearches(ScopedAPIView):
    """Searches for one person."""

    reads = PersonSearch
    permissions: ClassVar = {"GET": P.PROJECT_EDIT, "POST": P.PROJECT_EDIT}
    idempotent = False  # the kept key would hold a hash of who it is about

    @extend_schema(
        operation_id="persons_list", tags=TAGS, responses=PersonSearchSerializer(many=True),
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List searches, newest first."""
        del request
        return self.page(self.rows().in_project(self.project).select_related("asked_by"), PersonSearchSerializer)

    @extend_schema(
        operation_id="persons_search", tags=TAGS, request=NewPersonSearchSerializer,
        responses={202: PersonSearchSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        """Have a worker look for a person in marked columns and in the prediction log."""
        asked = NewPersonSearchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        made = persons.ask(self.actor, project=self.project, **asked.validated_data)
        return Response(PersonSearchSerializer(made).data, status=202)


class PersonSearchDetail(ScopedAPIView):
    """One search."""

    reads = PersonSearch
    permissions: ClassVar = {"GET": P.PROJECT_EDIT}

    @extend_schema(operation_id="persons_read", tags=TAGS, responses=FoundPersonSerializer)
    def get(self, request: Request, number: int) -> Response:
        """Read what was found; who read a report is in the audit log."""
        del request
        rows = self.rows().in_project(self.project).select_related("project", "asked_by")
        found: PersonSearch = self.find(rows, pk=number)
        if found.result is not None:
            persons.report(self.actor, search=found)
        return Response(FoundPersonSerializer(found).data)
