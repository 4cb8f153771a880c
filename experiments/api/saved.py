"""REST routes of saved views."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api.shapes import Strict, Text
from experiments.models import Experiment, SavedView
from experiments.services import saved_views
from projects.access import ScopedAPIView
from projects.permissions import Permission


class ViewIn(Strict):
    """A new view."""

    name = Text(max_length=saved_views.NAME_CHARS)
    query = Text(max_length=saved_views.QUERY_CHARS, allow_blank=True, default="")
    page = serializers.ChoiceField(choices=["runs", "compare"], default="runs")
    experiment = Text(max_length=500, allow_blank=True, default="", help_text="Number or name; none: all experiments.")
    shared = serializers.BooleanField(default=False)


class ViewPatch(Strict):
    """What of a view changes."""

    name = Text(max_length=saved_views.NAME_CHARS, required=False)
    query = Text(max_length=saved_views.QUERY_CHARS, allow_blank=True, required=False)
    shared = serializers.BooleanField(required=False)
    is_default = serializers.BooleanField(required=False)


class ViewOut(serializers.ModelSerializer):
    """A saved view; ``query`` is what stands behind the question mark of its page."""

    owner = serializers.CharField(source="owner.username")
    experiment = serializers.CharField(source="experiment.name", default=None, allow_null=True)

    class Meta:
        model = SavedView
        fields: ClassVar = [
            "id", "number", "name", "page", "experiment", "query", "owner", "shared", "is_default", "created_at",
            "updated_at",
        ]  # fmt: skip


def _read(shape: type[Strict], request: Request) -> dict[str, Any]:
    body = shape(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


class Views(ScopedAPIView):
    """Saved views of a project: shared ones, and the caller's own."""

    reads = SavedView
    permissions: ClassVar = {"GET": Permission.RUN_VIEW, "POST": Permission.MARK_KEEP}

    @extend_schema(
        operation_id="views_list",
        parameters=[
            OpenApiParameter("experiment", str, description="Number or name; its views and those of all experiments."),
            OpenApiParameter("page", str, enum=["runs", "compare"]),
        ],
        responses=ViewOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """List views, newest first."""
        rows, asked = self.rows().in_project(self.project).select_related("owner", "experiment"), request.query_params
        if asked.get("page"):
            rows = rows.filter(page=asked["page"])
        if asked.get("experiment"):
            rows = rows.on(asked["page"], self._experiment(asked["experiment"])) if asked.get("page") else rows.filter(
                experiment=self._experiment(asked["experiment"])
            )  # fmt: skip
        return self.page(rows, ViewOut)

    @extend_schema(operation_id="views_save", request=ViewIn, responses={201: ViewOut})
    def post(self, request: Request) -> Response:
        """Save a view; sharing it needs the right to edit runs."""
        given = _read(ViewIn, request)
        named = given.pop("experiment")
        found = self._experiment(named) if named else None
        view = saved_views.save(self.actor, project=self.project, experiment=found, **given)
        return Response(ViewOut(view).data, status=status.HTTP_201_CREATED)

    def _experiment(self, named: str) -> Experiment:
        seen = Experiment.objects.visible_to(self.actor).in_project(self.project).active()
        return self.find(seen.addressed(named))


class ViewDetail(ScopedAPIView):
    """One saved view."""

    reads = SavedView
    permissions: ClassVar = {
        "GET": Permission.RUN_VIEW, "PATCH": Permission.MARK_KEEP, "DELETE": Permission.MARK_KEEP,
    }  # fmt: skip

    def load(self, number: int) -> SavedView:
        """The view of the address, or 404."""
        rows = self.rows().in_project(self.project).select_related("project", "owner", "experiment")
        found: SavedView = self.find(rows, number=number)
        return found

    @extend_schema(operation_id="views_get", responses=ViewOut)
    def get(self, request: Request, view: int) -> Response:
        """Read a view."""
        return Response(ViewOut(self.load(view)).data)

    @extend_schema(operation_id="views_update", request=ViewPatch, responses=ViewOut)
    def patch(self, request: Request, view: int) -> Response:
        """Rename, update, share, or make the default."""
        made = saved_views.change(self.actor, view=self.load(view), **_read(ViewPatch, request))
        return Response(ViewOut(made).data)

    @extend_schema(operation_id="views_delete", responses={204: None})
    def delete(self, request: Request, view: int) -> Response:
        """Delete a view."""
        saved_views.delete(self.actor, view=self.load(view))
        return Response(status=status.HTTP_204_NO_CONTENT)
