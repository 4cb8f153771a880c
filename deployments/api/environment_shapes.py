"""JSON shapes of environments and the moves between them."""

from typing import Any

from rest_framework import serializers

from deployments.models import Environment
from deployments.services.ways import Ways

Data = dict[str, Any]
START = "anywhere, nothing (a version that answers in no environment), or the name of an environment."


class EnvironmentSerializer(serializers.ModelSerializer[Environment]):
    """A place that serves."""

    class Meta:
        model = Environment
        fields = ("id", "name", "position", "created_at", "archived_at")
        read_only_fields = fields


class CreateSerializer(serializers.Serializer[Data]):
    """A new environment."""

    name = serializers.CharField(max_length=200)
    start = serializers.CharField(max_length=200, default="anywhere", help_text=START)


class RenameSerializer(serializers.Serializer[Data]):
    """Another name."""

    name = serializers.CharField(max_length=200)


class OrderSerializer(serializers.Serializer[Data]):
    """Names of all open environments, the highest last."""

    order = serializers.ListField(child=serializers.CharField(max_length=200), max_length=50)


class MoveSerializer(serializers.Serializer[Data]):
    """One allowed move."""

    start = serializers.CharField(max_length=200, help_text=START)
    to = serializers.CharField(max_length=200)


class MovesSerializer(serializers.Serializer[Data]):
    """All allowed moves."""

    moves = MoveSerializer(many=True)
    seen = serializers.CharField(
        required=False, allow_blank=True, max_length=64,
        help_text="Mark of the moves you saw; moves that somebody else set meanwhile are then not overwritten.",
    )  # fmt: skip


def moves(known: Ways) -> Data:
    """Write the moves with the mark that a later change names."""
    return {"moves": [{"start": start, "to": goal} for start, goal in known.pairs()], "seen": known.mark}
