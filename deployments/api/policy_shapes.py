"""Shapes of the rules of environments in the REST interface."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from deployments.models import Backtest, Policy
from deployments.proof.rules_catalogue import Kind, limits
from deployments.services import backtests, holders, policies
from projects.services.marks import Hidden

Data = dict[str, Any]


class PolicySerializer(serializers.ModelSerializer[Policy]):
    """One version of the rules of an environment."""

    environment = serializers.CharField(source="environment.name", read_only=True)
    proposed_by = serializers.CharField(source="proposed_by.username", read_only=True, default=None, allow_null=True)
    gates = serializers.ListField(child=serializers.DictField(), read_only=True)
    steps = serializers.ListField(child=serializers.DictField(), read_only=True)
    card_sections = serializers.ListField(child=serializers.CharField(), read_only=True)
    min_approvals = serializers.IntegerField(read_only=True)

    class Meta:
        model = Policy
        fields = (
            "id", "environment", "number", "state", "gates", "min_approvals", *Policy.RULES, "based_on",
            "proposed_by", "valid_from", "valid_to",
        )  # fmt: skip
        read_only_fields = fields

    def to_representation(self, instance: Policy) -> Data:
        """Leave out the names of groups that the view says are hidden."""
        told: Data = super().to_representation(policies.readable(instance, self.context.get("hidden", {})))
        return told


class PolicyDifferenceSerializer(serializers.Serializer[Data]):
    """One difference to the rules in force."""

    text = serializers.CharField()
    effect = serializers.ChoiceField(choices=["weaker", "stronger", "other"])


class PolicyDetailSerializer(PolicySerializer):
    """A version with what it changes and what stands in its way."""

    changes = PolicyDifferenceSerializer(many=True, read_only=True)
    warnings = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta(PolicySerializer.Meta):
        fields = (*PolicySerializer.Meta.fields, "changes", "warnings")
        read_only_fields = fields


def detail(policy: Policy, hidden: Mapping[str, Hidden]) -> Data:
    """Return a version with its differences to the rules in force and its warnings, without hidden groups."""
    in_force, policy = (policies.readable(row, hidden) for row in (policies.current(policy.environment), policy))
    return {
        **PolicySerializer(policy).data,
        "changes": [change.plain() for change in policies.compared(in_force, policy)],
        "warnings": holders.warnings(policy),
    }


class ChangePolicySerializer(serializers.Serializer[Data]):
    """Rules to change; what is not given stays."""

    gates = serializers.ListField(child=serializers.DictField(), required=False, max_length=50)
    steps = serializers.ListField(child=serializers.DictField(), required=False, max_length=9)
    min_approvals = serializers.IntegerField(
        required=False, min_value=1, max_value=9, help_text="Short for one step of that many managers."
    )
    four_eyes = serializers.BooleanField(required=False)
    exclude_trainer = serializers.BooleanField(required=False)
    switch_at_approval = serializers.BooleanField(required=False)
    expiry_days = serializers.IntegerField(required=False, min_value=1, max_value=90)
    approval_days = serializers.IntegerField(required=False, min_value=1, max_value=365)
    reminder_hours = serializers.IntegerField(required=False, min_value=0, max_value=2160)
    timeout_hours = serializers.IntegerField(required=False, min_value=0, max_value=2160)
    timeout_action = serializers.ChoiceField(required=False, choices=Policy.Timeout.choices)
    allow_break_glass = serializers.BooleanField(required=False)
    card_sections = serializers.ListField(child=serializers.CharField(max_length=60), required=False, max_length=20)


class AskBacktestSerializer(serializers.Serializer[Data]):
    """How much of the past to replay."""

    last = serializers.IntegerField(default=backtests.DEFAULT_LAST, min_value=1, max_value=backtests.MAX_LAST)


class JudgedSerializer(serializers.Serializer[Data]):
    """What a version says about one past request or one live version."""

    request = serializers.IntegerField(allow_null=True)
    endpoint = serializers.CharField(required=False)
    version = serializers.CharField()
    model = serializers.CharField()
    number = serializers.IntegerField()
    state = serializers.CharField(required=False)
    asked_at = serializers.CharField(required=False)
    standing = serializers.CharField(help_text="pass, block or none (evidence is missing)")
    before = serializers.CharField(help_text="the same under the rules in force")
    gate = serializers.CharField()
    found = serializers.CharField()
    rule = serializers.CharField()
    advisory = serializers.IntegerField()


class ReplaySerializer(serializers.Serializer[Data]):
    """Result of a back-test."""

    at = serializers.CharField()
    in_force = serializers.IntegerField()
    requests = JudgedSerializer(many=True)
    production = JudgedSerializer(many=True)
    left_out = serializers.IntegerField()


class BacktestSerializer(serializers.ModelSerializer[Backtest]):
    """A back-test with its progress and its result."""

    asked_by = serializers.CharField(source="asked_by.username", read_only=True)
    result = ReplaySerializer(read_only=True, allow_null=True)

    class Meta:
        model = Backtest
        fields = ("id", "state", "progress", "phase", "failure", "last", "asked_by", "asked_at", "ended_at", "result")
        read_only_fields = fields


class GateValueSerializer(serializers.Serializer[Data]):
    """One value of a kind of gate."""

    name = serializers.CharField()
    label = serializers.CharField()
    type = serializers.CharField()
    default = serializers.JSONField(allow_null=True)
    limit = serializers.JSONField()
    unit = serializers.CharField()
    about = serializers.CharField()


class GateKindSerializer(serializers.Serializer[Data]):
    """One kind of gate."""

    kind = serializers.CharField()
    label = serializers.CharField()
    about = serializers.CharField()
    values = GateValueSerializer(many=True)


def kind(item: Kind) -> Data:
    """Return a kind of gate as plain data."""
    values = [
        {
            "name": value.name, "label": value.label, "type": value.type, "default": value.default,
            "limit": limits(value), "unit": "bytes" if value.scale != 1 else value.unit, "about": value.about,
        }
        for value in item.values
    ]  # fmt: skip
    return {"kind": item.key, "label": item.label, "about": item.about, "values": values}
