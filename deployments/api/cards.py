"""REST routes of the model card."""

from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from deployments.api.models import PAGE, InProject, checked
from deployments.cards.parts import PARTS
from deployments.models import DrawnPaper, ModelVersion, PaperVersion, PromotionRequest
from deployments.services import cards, past_models, prints, writings
from deployments.views.papers import file_name, file_of
from mlportal.lib.errors import Invalid
from mlportal.lib.moments import Span
from projects.access import ScopedAPIView
from projects.permissions import Permission
from projects.services.past import Section

P = Permission
TAGS = ["model cards"]
NUMBER = OpenApiParameter("number", int, description="A version of the card; the newest by default.")


class TextsSerializer(serializers.Serializer[Any]):
    """Texts to save."""

    texts = serializers.DictField(child=serializers.CharField(allow_blank=True, trim_whitespace=False))
    level = serializers.CharField(
        default="model", max_length=10, help_text="model: every version; version: this one alone."
    )
    seen = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="Number you started from; refused when it moved on."
    )


class PaperVersionSerializer(serializers.ModelSerializer[PaperVersion]):
    """One saved change."""

    level = serializers.SerializerMethodField()
    written_by = serializers.CharField(source="written_by.username", read_only=True)

    class Meta:
        model = PaperVersion
        fields = ("number", "level", "changed", "sha256", "written_by", "written_at")
        read_only_fields = fields

    def get_level(self, row: PaperVersion) -> str:
        """Whether it is for every version of the model."""
        return "version" if row.version_id else "model"


class DrawnPaperSerializer(serializers.ModelSerializer[DrawnPaper]):
    """How far a PDF is drawn; ask the same address again."""

    class Meta:
        model = DrawnPaper
        fields = ("state", "progress", "phase")
        read_only_fields = fields


def whole(request: Request, name: str, *, default: int | None = None) -> int | None:
    """Return a whole number of the query.

    Raises
    ------
    Invalid
        When it is none.
    """
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Invalid(f"{name} must be a whole number from 0.", field=name, got=text[:30])
    return int(text)


class VersionCard(InProject):
    """The model card of a version."""

    reads = ModelVersion
    permissions = {"GET": P.MODEL_VIEW, "PATCH": P.MODEL_REGISTER}

    def past(self, span: Span, name: str, number: int) -> list[Section]:
        """Return what people had written in the card by then."""
        labels = {key: each.label for key, each in PARTS.items()}
        return past_models.paper(self.version(name, number), span, kind="card", labels=labels)

    @extend_schema(operation_id="cards_read", tags=TAGS, parameters=[NUMBER], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read the card: sections of fields, each with source, age, and what is missing."""
        card = cards.read(self.actor, version=self.version(name, number), number=whole(request, "number"))
        return Response(prints.readable(card))

    @extend_schema(operation_id="cards_write", tags=TAGS, request=TextsSerializer, responses=OpenApiTypes.OBJECT)
    def patch(self, request: Request, name: str, number: int) -> Response:
        """Save texts; each change is a new version of the card, and the same texts again are none."""
        version = self.version(name, number)
        cards.write(self.actor, version=version, **checked(TextsSerializer, request))
        version.model.refresh_from_db()
        return Response(prints.readable(cards.read(self.actor, version=version)))


class VersionCards(InProject):
    """Saved changes of a card."""

    reads = PaperVersion
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(
        operation_id="cards_list", tags=TAGS, responses=PaperVersionSerializer(many=True), parameters=PAGE
    )  # fmt: skip
    def get(self, request: Request, name: str, number: int) -> Response:
        """List the versions of the card, newest first."""
        del request
        rows = writings.history(self.actor, version=self.version(name, number), paper="card").order_by()
        return self.page(rows, PaperVersionSerializer, ordering="-number")


class VersionCardDifference(InProject):
    """Two versions of a card."""

    reads = ModelVersion
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(
        operation_id="cards_difference",
        tags=TAGS,
        parameters=[
            OpenApiParameter("from", int, required=True, description="0 is before the first."),
            OpenApiParameter("to", int, required=True),
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        """Say which hand-written parts differ."""
        old, new = whole(request, "from", default=0) or 0, whole(request, "to", default=0) or 0
        changes = cards.difference(self.actor, version=self.version(name, number), old=old, new=new)
        return Response({"from": old, "to": new, "changes": changes})


class VersionCardFile(InProject):
    """The card as a file."""

    reads = ModelVersion
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(
        operation_id="cards_file",
        tags=TAGS,
        parameters=[NUMBER],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY, 202: DrawnPaperSerializer},
    )
    def get(self, request: Request, name: str, number: int, form: str) -> HttpResponseBase:
        """Download the card as ``pdf``, ``html`` (one file) or ``json``; 202 while a worker draws the PDF."""
        version = self.version(name, number)
        card = cards.read(self.actor, version=version, number=whole(request, "number"))
        found = file_of(self.actor, version, card, form, file_name(version, "card", card["about"]["card"]))
        if isinstance(found, DrawnPaper):
            return Response(DrawnPaperSerializer(found).data, status=202, headers={"Retry-After": "1"})
        return found


class PromotionCard(ScopedAPIView):
    """The card that was kept with a request."""

    reads = PromotionRequest
    permissions = {"GET": P.MODEL_VIEW}

    @extend_schema(operation_id="promotions_card", tags=TAGS, responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, number: int) -> Response:
        """Read the card as the approver saw it, with its hash."""
        del request
        found = self.find(self.rows().in_project(self.project).with_subject(), pk=min(number, 2**62))
        kept = cards.kept(self.actor, request=found)
        paper = prints.readable(kept.document, promotion=found.pk)
        return Response({"number": kept.number, "sha256": kept.sha256, "made_at": kept.made_at, "card": paper})
