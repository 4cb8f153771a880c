"""JSON shapes of models and of what people say of them."""

from typing import Any

from rest_framework import serializers

from deployments.models import RegisteredModel

Data = dict[str, Any]


class ModelSerializer(serializers.ModelSerializer[RegisteredModel]):
    """A model."""

    created_by = serializers.CharField(source="created_by.username", read_only=True)
    owner = serializers.SlugRelatedField("username", read_only=True, allow_null=True)  # type: ignore[var-annotated]
    tags = serializers.SerializerMethodField()

    class Meta:
        model = RegisteredModel
        fields = (
            "id", "name", "description", "owner", "intended_purpose", "risk_class", "out_of_scope_use", "tags",
            "revision", "created_by", "created_at", "updated_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_tags(self, model: RegisteredModel) -> dict[str, str]:
        """Tags by key."""
        return {row.key: row.value for row in model.tag_rows.all()}


class ModelFactsSerializer(serializers.Serializer[Data]):
    """What is said of a model; what is left out stays."""

    revision = serializers.IntegerField(required=False, help_text="The one you saw; a newer edit is not overwritten.")
    description = serializers.CharField(required=False, allow_blank=True, max_length=100_000)
    owner = serializers.CharField(
        required=False, allow_blank=True, max_length=150, help_text="User name; empty: nobody."
    )
    intended_purpose = serializers.CharField(required=False, allow_blank=True, max_length=100_000)
    risk_class = serializers.ChoiceField(required=False, choices=RegisteredModel.Risk.choices)
    out_of_scope_use = serializers.CharField(required=False, allow_blank=True, max_length=100_000)
    tags = serializers.DictField(
        required=False, child=serializers.CharField(allow_null=True, allow_blank=True, trim_whitespace=False),
        help_text="Tags to set; null takes one off.",
    )  # fmt: skip
