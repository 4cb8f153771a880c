"""What the REST routes of datasets take and give."""

from typing import Any

from rest_framework import serializers

from projects.models import Dataset, DatasetVersion
from projects.services import datasets


class VersionSerializer(serializers.ModelSerializer[DatasetVersion]):
    """A version without its profile."""

    dataset = serializers.CharField(source="dataset.name", read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True)

    class Meta:
        model = DatasetVersion
        fields = (
            "dataset", "number", "state", "phase", "progress", "failure", "sample", "filename", "format", "size_bytes",
            "sha256", "parquet_sha256", "source_kind", "source", "row_count", "column_count", "check_state",
            "created_by", "created_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields


class ColumnSerializer(serializers.Serializer[dict[str, Any]]):
    """One column of a schema."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(
        choices=["numeric", "integer", "boolean", "categorical", "text", "datetime", "id"], help_text="Role of values."
    )
    dtype = serializers.CharField(help_text="Type in the Parquet copy.")
    nullable = serializers.BooleanField()


class RemarkSerializer(serializers.Serializer[dict[str, Any]]):
    """Something worth knowing, in words."""

    code = serializers.CharField()
    message = serializers.CharField()
    column = serializers.CharField(allow_blank=True)
    level = serializers.ChoiceField(choices=["info", "warning"])


class ProfileSerializer(serializers.Serializer[dict[str, Any]]):
    """Schema, profile by column, remarks."""

    dataset = serializers.CharField()
    number = serializers.IntegerField()
    row_count = serializers.IntegerField()
    column_count = serializers.IntegerField()
    schema = ColumnSerializer(many=True)
    columns = serializers.DictField(
        child=serializers.DictField(),
        help_text="By name: nulls, distinct, min, max, mean, std, quantiles, histogram {edges, counts}, top, warnings.",
    )
    warnings = RemarkSerializer(many=True)
    facts = serializers.DictField(help_text="How the file was read: encoding, delimiter, exact, duplicate_rows.")


class DatasetListSerializer(serializers.ListSerializer[Any]):
    """Loads the newest versions of a page with one query."""

    def to_representation(self, data: Any) -> list[Any]:
        """Attach the newest versions, then represent each dataset."""
        found = list(data)
        versions = DatasetVersion.objects.light().select_related("created_by", "dataset")
        newest = versions.in_bulk([dataset.latest_id for dataset in found if dataset.latest_id])
        for dataset in found:
            dataset.newest = newest.get(dataset.latest_id)
        return super().to_representation(found)


class DatasetSerializer(serializers.ModelSerializer[Dataset]):
    """A dataset with its newest version. The rows come from ``with_latest``."""

    created_by = serializers.CharField(source="created_by.username", read_only=True)
    owner = serializers.CharField(source="owner.username", default=None, read_only=True, allow_null=True)
    latest = VersionSerializer(source="newest", read_only=True, allow_null=True)
    version_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Dataset
        list_serializer_class = DatasetListSerializer
        fields = (
            "id", "name", "description", "owner", "licence", "tags", "marks", "revision", "created_by", "created_at",
            "version_count", "latest",
        )  # fmt: skip
        read_only_fields = fields


class FactsSerializer(serializers.Serializer[dict[str, Any]]):
    """What is said of a dataset; values left out stay."""

    revision = serializers.IntegerField(required=False, help_text="The one you saw; a newer edit is not overwritten.")
    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000, help_text="Markdown.")
    owner = serializers.CharField(required=False, allow_blank=True, max_length=150, help_text="A member; or nobody.")
    licence = serializers.CharField(required=False, allow_blank=True, max_length=100, help_text="SPDX, or words.")
    tags = serializers.ListField(required=False, child=serializers.CharField(max_length=60), max_length=50)
    marks = serializers.DictField(
        required=False, child=serializers.CharField(allow_blank=True),
        help_text="All marks by column: none, personal, sensitive, secret.",
    )  # fmt: skip


class SampleSerializer(serializers.Serializer[dict[str, Any]]):
    """Which sample to register, and under which name."""

    sample = serializers.ChoiceField(choices=list(datasets.SAMPLES))
    name = serializers.CharField(required=False, max_length=100, help_text="The sample's own name by default.")


class UploadWordsSerializer(serializers.Serializer[dict[str, Any]]):
    """What the address of an upload says about the file."""

    filename = serializers.CharField(default="", allow_blank=True, max_length=255)
    description = serializers.CharField(default="", allow_blank=True, max_length=10_000)
    encoding = serializers.CharField(default="", allow_blank=True, max_length=20)
    delimiter = serializers.CharField(default="", allow_blank=True, max_length=10, trim_whitespace=False)
    derived_from = serializers.CharField(default="", allow_blank=True, max_length=120)


class UploadedSerializer(VersionSerializer):
    """The version that holds the uploaded bytes."""

    created = serializers.BooleanField(help_text="False when the dataset had these bytes already.")

    class Meta(VersionSerializer.Meta):
        fields = (*VersionSerializer.Meta.fields, "created")
        read_only_fields = fields
