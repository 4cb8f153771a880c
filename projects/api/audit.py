"""REST routes of the audit log: entries, exports and anchors."""

from collections.abc import Iterator
from typing import Any, ClassVar

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib import moments
from mlportal.lib.errors import Missing
from projects.access import ScopedAPIView
from projects.models import Anchor, AnchorCopy, Event, Project
from projects.permissions import Permission
from projects.services import anchors, audit
from projects.views.audit import download

P = Permission
TAGS = ["audit"]
PAGES = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]


class EventSerializer(serializers.ModelSerializer[Event]):
    """One entry of the audit log."""

    project: Any = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    data = serializers.DictField()
    changes = serializers.DictField()
    actor_name = serializers.CharField()
    address = serializers.CharField()
    target_label = serializers.CharField()

    class Meta:
        model = Event
        fields = (
            "seq", "at", "schema", "verb", "result", "reason", "project", "actor_kind", "actor_id", "actor_name",
            "on_behalf_of", "token_id", "address", "request_id", "target_type", "target_id", "target_label",
            "before_hash", "after_hash", "changes", "data", "prev_hash", "hash",
        )  # fmt: skip
        read_only_fields = fields


class EventFilterSerializer(serializers.Serializer[Any]):
    """Filters of the log; the same as on the page."""

    actor = serializers.CharField(max_length=100, required=False, help_text="Part of a name.")
    verb = serializers.CharField(max_length=60, required=False, help_text="Begins with, as promotion.")
    target = serializers.CharField(max_length=200, required=False, help_text="A kind, 'run 12', or part of a name.")
    text = serializers.CharField(max_length=200, required=False, help_text="Part of a name, reason or value.")
    result = serializers.ChoiceField(choices=Event.Result.choices, required=False)
    since = serializers.CharField(max_length=40, required=False, help_text="Date or time, UTC without an offset.")
    until = serializers.CharField(max_length=40, required=False, help_text="Date (the whole day) or time.")

    def chosen(self) -> audit.Filter:
        """The filter, or a refusal that names the field."""
        self.is_valid(raise_exception=True)
        values = dict(self.validated_data)
        if "since" in values:
            values["since"] = moments.read(values["since"], field="since").start
        if "until" in values:
            values["until"] = moments.after(values["until"], field="until")
        return audit.Filter(**values)


class SiteEventFilterSerializer(EventFilterSerializer):
    """The same, over all projects."""

    project = serializers.CharField(max_length=50, required=False, help_text="Address of a project.")


class AnchorCopySerializer(serializers.ModelSerializer[AnchorCopy]):
    """A second place of an anchor."""

    class Meta:
        model = AnchorCopy
        fields = ("place", "target", "sent_at", "attempts", "failure")
        read_only_fields = fields


class AnchorSerializer(serializers.ModelSerializer[Anchor]):
    """A signed place in the log."""

    copies = AnchorCopySerializer(many=True)

    class Meta:
        model = Anchor
        fields = ("number", "seq", "head_hash", "count", "at", "cause", "previous", "key_id", "signature", "copies")
        read_only_fields = fields


class _Log(ScopedAPIView):
    abstract = True

    def _list(self, chosen: audit.Filter, project: Project | None) -> Response:
        rows = audit.find(self.actor, project=project, chosen=chosen)
        return self.page(rows, EventSerializer, ordering="-seq")


class Events(_Log):
    """The project's audit log."""

    reads = Event
    permissions: ClassVar = {"GET": P.AUDIT_VIEW}

    @extend_schema(
        operation_id="events_list",
        tags=TAGS,
        responses=EventSerializer(many=True),
        parameters=[EventFilterSerializer, *PAGES],
    )
    def get(self, request: Request) -> Response:
        """List entries, newest first."""
        return self._list(EventFilterSerializer(data=request.query_params).chosen(), self.project)


class EventDetail(ScopedAPIView):
    """One entry of a project."""

    reads = Event
    permissions: ClassVar = {"GET": P.AUDIT_VIEW}

    @extend_schema(operation_id="events_read", tags=TAGS, responses=EventSerializer)
    def get(self, request: Request, seq: int) -> Response:
        """Read one entry."""
        del request
        rows = audit.find(self.actor, project=self.project, chosen=audit.Filter())
        found = rows.filter(seq=min(seq, 2**62)).first()
        if found is None:
            raise Missing(f"There is no entry {seq} in this project.", field="seq", got=seq)
        return Response(EventSerializer(found).data)


class EventExport(ScopedAPIView):
    """The project's log as a file."""

    reads = Event
    permissions: ClassVar = {"POST": P.AUDIT_VIEW}
    idempotent = False  # a stream is not kept

    @extend_schema(
        operation_id="events_export",
        tags=TAGS,
        request=EventFilterSerializer,
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def post(self, request: Request) -> HttpResponseBase:  # type: ignore[override]  # a stream
        """Export entries as JSON Lines with a manifest and a signature, in a zip. The export is an entry itself."""
        chosen = EventFilterSerializer(data=request.data).chosen()
        return download(_stream(self, chosen, self.project), self.project)


class SiteEvents(_Log):
    """The audit log of the whole site."""

    reads = Event
    permissions: ClassVar = {"GET": P.SITE_ADMIN}

    @extend_schema(
        operation_id="site_events_list",
        tags=TAGS,
        responses=EventSerializer(many=True),
        parameters=[SiteEventFilterSerializer, *PAGES],
    )
    def get(self, request: Request) -> Response:
        """List entries of the site, sign-ins included, newest first."""
        return self._list(SiteEventFilterSerializer(data=request.query_params).chosen(), None)


class SiteEventExport(ScopedAPIView):
    """The whole log as a file."""

    reads = Event
    permissions: ClassVar = {"POST": P.SITE_ADMIN}
    idempotent = False  # a stream is not kept

    @extend_schema(
        operation_id="site_events_export",
        tags=TAGS,
        request=SiteEventFilterSerializer,
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def post(self, request: Request) -> HttpResponseBase:  # type: ignore[override]  # a stream
        """Export the log of the site."""
        return download(_stream(self, SiteEventFilterSerializer(data=request.data).chosen(), None), None)


class Anchors(ScopedAPIView):
    """Signed places in the log."""

    reads = Anchor
    permissions: ClassVar = {"GET": P.SITE_ADMIN, "POST": P.SITE_ADMIN}

    @extend_schema(operation_id="anchors_list", tags=TAGS, responses=AnchorSerializer(many=True), parameters=PAGES)
    def get(self, request: Request) -> Response:
        """List anchors, newest first, with the places that have them."""
        del request
        return self.page(self.rows().prefetch_related("copies"), AnchorSerializer, ordering="-number")

    @extend_schema(operation_id="anchors_make", tags=TAGS, request=None, responses={201: AnchorSerializer, 204: None})
    def post(self, request: Request) -> Response:
        """Anchor the log now; 204 when nothing was added since the last one."""
        del request
        made = anchors.make(self.actor)
        return Response(AnchorSerializer(made).data, status=201) if made else Response(status=204)


def _stream(view: ScopedAPIView, chosen: audit.Filter, project: Project | None) -> Iterator[bytes]:
    return audit.export(view.actor, project=project, chosen=chosen)
