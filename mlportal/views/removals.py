"""Removals of whole projects, by a site administrator: what would go, what keeps it, calling off, the record."""

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.services import removals
from mlportal.lib.errors import Invalid, Missing
from mlportal.lib.forms import Form
from projects.access import ScopedAPIView, SiteView
from projects.models import Project, ProjectRemoval
from projects.permissions import Permission

SHOWN = 100
JOINED = ("project", "asked_by", "called_off_by")
TAGS = ["removals"]


class NewRemoval(Form):
    """The address typed once more, and why."""

    confirm = forms.CharField(
        label="Address of the project", max_length=60, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    reason = forms.CharField(
        label="Reason", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text="At least 10 characters. It stays in the audit log.",
    )  # fmt: skip


@method_decorator(never_cache, name="dispatch")
class RemovalList(SiteView):
    """What goes, what went, and with ``?project=`` what would go with one."""

    reads = ProjectRemoval
    permission = Permission.SITE_ADMIN

    def get(self, request: HttpRequest) -> HttpResponse:
        """The list, and what would go with the project that was chosen."""
        slug = request.GET.get("project", "")
        chosen = self.load_project(self.actor, slug[:60]) if slug else None
        return self._page(request, chosen, NewRemoval(), 200)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Ask for the removal of one, or show what is wrong."""
        project, form = _named(self, request.POST.get("project", "")), NewRemoval(request.POST)
        made = (
            form.attempt(lambda: removals.ask(self.actor, project=project, **form.cleaned_data))
            if form.is_valid()
            else None
        )
        if made is None:
            return self._page(request, project, form, 422)
        messages.success(request, f"{made.name} is hidden and goes on {made.due_at:%Y-%m-%d}, unless it is called off.")
        return _home()

    def _page(self, request: HttpRequest, chosen: Project | None, form: NewRemoval, status: int) -> HttpResponse:
        rows, before = self.rows().select_related(*JOINED).order_by("-pk"), request.GET.get("before", "")
        if before.isascii() and before.isdigit():
            rows = rows.filter(pk__lt=int(before[:18]))
        found = list(rows[: SHOWN + 1])
        values: dict[str, Any] = {
            "removals": found[:SHOWN], "before": found[SHOWN - 1].pk if len(found) > SHOWN else "",
            "projects": Project.objects.visible_to(self.actor).order_by("slug")[: SHOWN * 10],
            "chosen": chosen, "form": form,
        }  # fmt: skip
        if chosen is not None:
            values |= {
                "tally": removals.tally(self.actor, project=chosen),
                "kept_back": removals.kept_back(self.actor, project=chosen), "days": removals.DAYS,
            }  # fmt: skip
        return render(request, "removals.html", values, status=status)


class RemovalCallOff(SiteView):
    """Keep the project after all."""

    reads = ProjectRemoval
    permission = Permission.SITE_ADMIN
    http_method_names: ClassVar = ["post"]

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        """Call it off."""
        found = self.find(self.rows().select_related(*JOINED), pk=number)
        removals.call_off(self.actor, removal=found)
        messages.success(request, f"{found.name} stays; its members see it again.")
        return _home()


class RemovalRecord(SiteView):
    """The zip of approvals, manifests and issued papers."""

    reads = ProjectRemoval
    permission = Permission.SITE_ADMIN

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        """Download it."""
        del request
        found = self.find(self.rows().select_related(*JOINED), pk=number)
        return _zipped(found, removals.record(self.actor, removal=found))


class RemovalSerializer(serializers.ModelSerializer[ProjectRemoval]):
    """The removal of a project; ``rows`` counts what went so far."""

    project = serializers.CharField(source="project.slug", read_only=True)
    state = serializers.CharField(read_only=True)
    asked_by = serializers.CharField(source="asked_by.username", read_only=True)
    rows = serializers.DictField(child=serializers.IntegerField(), read_only=True)

    class Meta:
        model = ProjectRemoval
        fields = (
            "id", "project", "name", "state", "reason", "asked_by", "asked_at", "due_at", "called_off_at", "begun_at",
            "done_at", "waits_for", "rows", "record_sha256", "record_until",
        )  # fmt: skip
        read_only_fields = fields


class NewRemovalSerializer(serializers.Serializer[Any]):
    """Which project goes and why."""

    project = serializers.CharField(max_length=60, help_text="Its address.")
    confirm = serializers.CharField(max_length=60, help_text="The address once more.")
    reason = serializers.CharField(max_length=1000, help_text="At least 10 characters.")


class RemovalPreviewSerializer(serializers.Serializer[Any]):
    """What would go with a project, and what keeps it."""

    project = serializers.CharField()
    kept_back = serializers.CharField(help_text="Why it cannot be removed now, empty when it can.")
    rows = serializers.DictField(child=serializers.IntegerField())


class Removals(ScopedAPIView):
    """Removals of projects."""

    reads = ProjectRemoval
    permissions: ClassVar = {"GET": Permission.SITE_ADMIN, "POST": Permission.SITE_ADMIN}

    @extend_schema(
        operation_id="removals_list", tags=TAGS, responses=RemovalSerializer(many=True),
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """List them, newest first."""
        del request
        return self.page(self.rows().select_related(*JOINED), RemovalSerializer)

    @extend_schema(
        operation_id="removals_ask", tags=TAGS, request=NewRemovalSerializer, responses={201: RemovalSerializer}
    )
    def post(self, request: Request) -> Response:
        """Hide a project from everybody and remove it in 30 days, unless that is called off."""
        asked = NewRemovalSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        project = self.load_project(self.actor, values.pop("project"))
        made = removals.ask(self.actor, project=project, **values)
        return Response(RemovalSerializer(made).data, status=201)


class RemovalPreview(ScopedAPIView):
    """A look before a removal."""

    reads = Project
    permissions: ClassVar = {"GET": Permission.SITE_ADMIN}

    @extend_schema(
        operation_id="removals_preview", tags=TAGS, responses=RemovalPreviewSerializer,
        parameters=[OpenApiParameter("project", str, required=True, description="Its address.")],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Count what would go; nothing is changed."""
        project = _named(self, request.query_params.get("project", ""))
        rows = removals.tally(self.actor, project=project)
        kept = removals.kept_back(self.actor, project=project)
        return Response({"project": project.slug, "kept_back": kept, "rows": rows})


class OneRemoval(ScopedAPIView):
    """Base of what is about one removal."""

    abstract = True

    def load(self, number: int) -> ProjectRemoval:
        """Return it."""
        found: ProjectRemoval = self.find(self.rows().select_related(*JOINED), pk=number)
        return found


class RemovalCallsOff(OneRemoval):
    """The end of a removal that has not begun."""

    reads = ProjectRemoval
    permissions: ClassVar = {"POST": Permission.SITE_ADMIN}

    @extend_schema(operation_id="removals_call_off", tags=TAGS, request=None, responses=RemovalSerializer)
    def post(self, request: Request, number: int) -> Response:
        """Keep the project after all."""
        del request
        return Response(RemovalSerializer(removals.call_off(self.actor, removal=self.load(number))).data)


class RemovalRecords(OneRemoval):
    """What is kept of a removed project."""

    reads = ProjectRemoval
    permissions: ClassVar = {"GET": Permission.SITE_ADMIN}

    @extend_schema(operation_id="removals_record", tags=TAGS, responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, number: int) -> HttpResponse:
        """Download the signed zip of approvals, manifests and issued papers."""
        del request
        found = self.load(number)
        if not found.record_sha256:
            raise Missing("There is no record of this project: it is not removed yet, or its years are over.")
        return _zipped(found, removals.record(self.actor, removal=found))


def _named(view: SiteView | ScopedAPIView, slug: str) -> Project:
    if not slug:
        raise Invalid("Say which project: its address.", field="project")
    return view.load_project(view.actor, slug[:60])


def _zipped(found: ProjectRemoval, content: bytes) -> HttpResponse:
    answer = HttpResponse(content, content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="{found.project.slug}-record.zip"'
    return answer


def _home() -> HttpResponse:
    return HttpResponseRedirect(reverse("removal-list"), status=303)
