"""JSON shapes of models, promotions and endpoints, read and written."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from deployments.models import (
    Alias,
    Automation,
    Condition,
    Decision,
    Delegation,
    Endpoint,
    EndpointRevision,
    GateResult,
    ModelVersion,
    PromotionRequest,
    RollbackReview,
)
from deployments.services import deciders, evidence, examples, packages

Data = dict[str, Any]


class FileSerializer(serializers.Serializer[Data]):
    """One file of a manifest."""

    path = serializers.CharField()
    sha256 = serializers.CharField()
    size_bytes = serializers.IntegerField()


class ModelVersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """A version without its manifest."""

    model = serializers.CharField(source="model.name", read_only=True)
    run = serializers.IntegerField(source="run_id", read_only=True, allow_null=True)
    flavors = serializers.DictField(child=serializers.CharField(), read_only=True)
    dataset = serializers.SerializerMethodField()
    metrics = serializers.DictField(child=serializers.FloatField(), read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True)

    class Meta:
        model = ModelVersion
        fields = (
            "id", "model", "number", "state", "origin", "run", "run_uuid", "source", "description", "stage", "flavors",
            "dataset", "task", "algorithm", "metrics", "size_bytes", "manifest_sha256", "signed_by", "created_by",
            "created_at", "verified_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_dataset(self, version: ModelVersion) -> str | None:
        """Name and number of the dataset version."""
        return str(version.dataset_version) if version.dataset_version else None


class ModelVersionDetailSerializer(ModelVersionSerializer):
    """A version with everything that is signed."""

    manifest = FileSerializer(many=True, read_only=True)
    signature = serializers.DictField(read_only=True, help_text="Schema of inputs and outputs.")
    provenance = serializers.DictField(read_only=True)
    environment = serializers.DictField(read_only=True)
    example = serializers.SerializerMethodField()
    public_keys = serializers.SerializerMethodField()

    class Meta(ModelVersionSerializer.Meta):
        fields = (
            *ModelVersionSerializer.Meta.fields, "manifest", "manifest_signature", "signature", "provenance",
            "environment", "example", "public_keys",
        )  # fmt: skip
        read_only_fields = fields

    def get_example(self, version: ModelVersion) -> str | None:
        """Body of a request as JSON text: as it was kept, else made from the schema."""
        found = examples.of(version)
        return found.text if found else None

    def get_public_keys(self, version: ModelVersion) -> dict[str, str]:
        """PEM by key id: what signed the version, and what signs exports now."""
        return packages.public_keys(version)


class VerificationSerializer(serializers.Serializer[Data]):
    """What a check of a version found."""

    ok = serializers.BooleanField()
    signature_valid = serializers.BooleanField(help_text="Whether a key of this portal signed the manifest.")
    damaged = serializers.ListField(child=serializers.CharField(), help_text="One sentence per damage.")


class AliasSerializer(serializers.ModelSerializer[Alias]):
    """A name that points at a version."""

    version = serializers.IntegerField(source="version.number", read_only=True)
    set_by = serializers.CharField(source="set_by.username", read_only=True)

    class Meta:
        model = Alias
        fields = ("name", "version", "set_by", "valid_from")
        read_only_fields = fields


class GateResultSerializer(serializers.ModelSerializer[GateResult]):
    """Verdict of one rule."""

    class Meta:
        model = GateResult
        fields = ("name", "title", "level", "passed", "rule", "found", "metric", "detail")
        read_only_fields = fields


class ConditionSerializer(serializers.ModelSerializer[Condition]):
    """A limit an approver bound to the approval."""

    words = serializers.CharField(read_only=True)

    class Meta:
        model = Condition
        fields = (
            "id", "kind", "words", "until", "metric", "column", "op", "limit", "action", "state", "breached_at",
            "found", "done",
        )  # fmt: skip
        read_only_fields = fields


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    """What one person said."""

    user = serializers.CharField(source="user.username", read_only=True)
    on_behalf_of = serializers.CharField(
        source="delegation.giver.username", read_only=True, default=None, allow_null=True
    )
    acknowledged = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Decision
        fields = ("user", "on_behalf_of", "role", "step", "verdict", "comment", "acknowledged", "created_at")
        read_only_fields = fields


class StepSerializer(serializers.Serializer[Data]):
    """One step of the policy, and how many have approved in it."""

    name = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    needed = serializers.IntegerField()
    approvals = serializers.IntegerField()


class DelegationSerializer(serializers.ModelSerializer[Delegation]):
    """A right to decide that was handed to somebody."""

    giver = serializers.CharField(source="giver.username", read_only=True)
    taker = serializers.CharField(source="taker.username", read_only=True)
    revoked_by = serializers.CharField(source="revoked_by.username", read_only=True, default=None, allow_null=True)

    class Meta:
        model = Delegation
        fields = ("id", "giver", "taker", "reason", "valid_from", "until", "revoked_at", "revoked_by")
        read_only_fields = fields


class PromotionSerializer(serializers.ModelSerializer[PromotionRequest]):
    """A promotion request."""

    model = serializers.CharField(source="version.model.name", read_only=True)
    version = serializers.IntegerField(source="version.number", read_only=True)
    environment = serializers.CharField(source="environment.name", read_only=True)
    endpoint = serializers.CharField(source="endpoint_name", read_only=True)
    replaces = serializers.IntegerField(source="baseline.number", read_only=True, default=None, allow_null=True)
    policy = serializers.IntegerField(source="policy.number", read_only=True)
    requested_by = serializers.CharField(source="requested_by.username", read_only=True)
    decided_by = serializers.CharField(source="decided_by.username", read_only=True, default=None, allow_null=True)
    evaluated = serializers.SerializerMethodField(help_text="Whether it is measured and sealed.")
    lifted_by = serializers.IntegerField(source="lifted_by_id", read_only=True, allow_null=True)

    class Meta:
        model = PromotionRequest
        fields = (
            "id", "model", "version", "environment", "endpoint", "replaces", "state", "evaluated", "reason", "policy",
            "requested_by", "requested_at", "alert_id", "expires_at", "seal", "decided_by", "decided_at",
            "closing_note", "single_person", "break_glass", "step", "ended_at", "lifted_by",
        )  # fmt: skip
        read_only_fields = fields

    def get_evaluated(self, request: PromotionRequest) -> bool:
        """Sealed requests are measured."""
        return bool(request.seal)


class PromotionDetailSerializer(PromotionSerializer):
    """A request with its measurements, gates and decisions."""

    gates = serializers.SerializerMethodField()
    decisions = DecisionSerializer(many=True, read_only=True)
    steps = serializers.SerializerMethodField()
    conditions = ConditionSerializer(many=True, read_only=True)
    comparison = serializers.SerializerMethodField(help_text="Candidate and production on the same rows.")

    class Meta(PromotionSerializer.Meta):
        fields = (*PromotionSerializer.Meta.fields, "gates", "decisions", "steps", "conditions", "comparison")
        read_only_fields = fields

    @extend_schema_field(StepSerializer(many=True))
    def get_steps(self, request: PromotionRequest) -> list[Data]:
        """Who has to approve, in sequence, and how many have."""
        progress = deciders.count(request, list(request.decisions.all()))
        rows = zip(progress.steps, progress.counts, strict=True)
        return [
            {"name": item.name, "roles": list(item.roles), "needed": item.needed, "approvals": have}
            for item, have in rows
        ]

    def get_gates(self, request: PromotionRequest) -> list[Data]:
        """Verdicts as they were sealed; without values that marks of columns hide from the reader."""
        rows = [item for item in request.gate_results.all() if item.phase == GateResult.Phase.REQUEST]
        seen = evidence.verdicts(self.context["actor"], request=request, rows=rows)
        return list(GateResultSerializer(seen, many=True).data)

    def get_comparison(self, request: PromotionRequest) -> Data | None:
        """Result of the evaluation, None before; without values that marks of columns hide from the reader."""
        work = getattr(request, "evaluation", None)
        found = work.result if work is not None else None
        return evidence.readable(self.context["actor"], request=request, result=found)


class RouteSerializer(serializers.Serializer[Data]):
    """Which version answers a share of the requests."""

    variant = serializers.CharField()
    version = serializers.IntegerField()
    weight = serializers.FloatField(help_text="Share of the requests, 0 to 1.")
    mode = serializers.ChoiceField(choices=["live", "shadow"], help_text="A shadow answers beside, unheard.")


class RevisionSerializer(serializers.ModelSerializer[EndpointRevision]):
    """One setting of an endpoint."""

    version = serializers.IntegerField(source="version.number", read_only=True)
    promotion = serializers.IntegerField(source="promotion_id", read_only=True, allow_null=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True)
    second_look = serializers.SerializerMethodField(help_text="Of a rollback or break-glass: open, or what came of it.")
    routes = RouteSerializer(many=True, read_only=True, help_text="Empty: the version answers every request.")
    rollout = serializers.IntegerField(source="rollout_id", read_only=True, allow_null=True)
    trial = serializers.IntegerField(source="trial_id", read_only=True, allow_null=True)

    def get_second_look(self, revision: EndpointRevision) -> str | None:
        """Nothing for a promotion."""
        if revision.kind not in (EndpointRevision.Kind.ROLLBACK, EndpointRevision.Kind.BREAK_GLASS):
            return None
        return revision.review.outcome or "open"

    class Meta:
        model = EndpointRevision
        fields = (
            "number", "version", "kind", "promotion", "routes", "rollout", "trial", "reason", "created_by",
            "created_at", "second_look",
        )  # fmt: skip
        read_only_fields = fields


class EndpointSerializer(serializers.ModelSerializer[Endpoint]):
    """An endpoint and what answers there."""

    environment = serializers.CharField(source="environment.name", read_only=True)
    model = serializers.CharField(source="model.name", read_only=True)
    version = serializers.IntegerField(
        source="current_revision.version.number", read_only=True, default=None, allow_null=True
    )
    revision = serializers.IntegerField(source="current_revision.number", read_only=True, default=None, allow_null=True)
    approval = serializers.CharField(
        source="current_revision.promotion.state", read_only=True, default=None, allow_null=True,
        help_text="State of the promotion of what is live: approved, or suspended.",
    )  # fmt: skip

    class Meta:
        model = Endpoint
        fields = (
            "id", "name", "environment", "model", "enabled", "log_mode", "logging", "on_log_failure",
            "sample_share", "masked_columns", "log_days", "requests_per_minute", "caller_requests_per_minute",
            "version", "revision", "approval", "frozen_at", "created_at",
        )  # fmt: skip
        read_only_fields = fields


class AutomationSerializer(serializers.ModelSerializer[Automation]):
    """When an endpoint's model is retrained by itself."""

    endpoint = serializers.CharField(source="endpoint.name", read_only=True)
    owner = serializers.CharField(source="owner.username", read_only=True)

    class Meta:
        model = Automation
        fields = (
            "endpoint", "trigger", "enabled", "cooldown_hours", "dataset_name", "least_severity", "labelled_rows",
            "monthly_runs", "monthly_cpu_minutes", "owner", "failures", "stopped_at", "stop_reason",
        )  # fmt: skip
        read_only_fields = fields


class RegisterSerializer(serializers.Serializer[Data]):
    """Which run becomes the next version."""

    run = serializers.IntegerField(min_value=1, max_value=2**62)
    description = serializers.CharField(default="", allow_blank=True, max_length=10_000)


class SetAliasSerializer(serializers.Serializer[Data]):
    """Which version a name points at."""

    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)


class AskSerializer(serializers.Serializer[Data]):
    """Which version should go where, and why."""

    model = serializers.CharField(max_length=256, trim_whitespace=False)
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    environment = serializers.CharField(max_length=100)
    reason = serializers.CharField(max_length=4000)


class DecideSerializer(serializers.Serializer[Data]):
    """What the approver says."""

    verdict = serializers.ChoiceField(choices=Decision.Verdict.choices)
    comment = serializers.CharField(default="", allow_blank=True, max_length=4000)
    acknowledged = serializers.ListField(
        child=serializers.CharField(max_length=130), default=list, max_length=100, help_text="Advisory gates read."
    )
    conditions = serializers.ListField(
        child=serializers.DictField(), default=list, max_length=10,
        help_text="Limits of the approval: kind until, traffic, metric or drift; action notify, freeze or rollback.",
    )  # fmt: skip
    seen = serializers.CharField(
        default="", allow_blank=True, max_length=64, help_text="Seal of what was looked at; another one is refused."
    )


class DelegateSerializer(serializers.Serializer[Data]):
    """Who may decide for the caller, until when, and why."""

    taker = serializers.CharField(max_length=100)
    until = serializers.DateTimeField()
    reason = serializers.CharField(max_length=1000)


class LookSerializer(serializers.Serializer[Data]):
    """What came of a second look."""

    comment = serializers.CharField(default="", allow_blank=True, max_length=4000)
    outcome = serializers.ChoiceField(choices=RollbackReview.Outcome.choices, default="", allow_blank=True)


class OverrideSerializer(serializers.Serializer[Data]):
    """Which red gate passes, and why."""

    gate = serializers.CharField(max_length=130)
    reason = serializers.CharField(max_length=4000)


class ReasonSerializer(serializers.Serializer[Data]):
    """A reason that goes to the audit log."""

    reason = serializers.CharField(max_length=4000)


class RollbackSerializer(ReasonSerializer):
    """Why, and to which version; by default the one before."""

    version = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    alert = serializers.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, help_text="Number of the alert of this endpoint it answers."
    )


class ConfigureSerializer(serializers.Serializer[Data]):
    """Settings of an endpoint."""

    log_mode = serializers.ChoiceField(choices=Endpoint.LogMode.choices, required=False)
    logging = serializers.ChoiceField(choices=Endpoint.Logging.choices, required=False)
    on_log_failure = serializers.ChoiceField(choices=Endpoint.OnLogFailure.choices, required=False)
    sample_share = serializers.FloatField(required=False, help_text="Over 0, at most 1.")
    masked_columns = serializers.ListField(child=serializers.CharField(max_length=500), required=False)
    log_days = serializers.IntegerField(
        required=False, min_value=0, max_value=36_500, help_text="Days predictions are kept; 0: as the settings say."
    )
    requests_per_minute = serializers.IntegerField(required=False, min_value=0, help_text="0 for no limit.")
    caller_requests_per_minute = serializers.IntegerField(required=False, min_value=0, help_text="0 for no limit.")


class SetAutomationSerializer(serializers.Serializer[Data]):
    """When to retrain."""

    trigger = serializers.ChoiceField(choices=Automation.Trigger.choices)
    enabled = serializers.BooleanField(default=True)
    cooldown_hours = serializers.IntegerField(default=24, min_value=1, max_value=2160)
    dataset_name = serializers.CharField(default="", allow_blank=True, max_length=100)
    least_severity = serializers.ChoiceField(choices=Automation.Severity.choices, required=False)
    labelled_rows = serializers.ChoiceField(choices=Automation.Rows.choices, required=False)
    monthly_runs = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=1000, help_text="Retrainings a month; null: no limit."
    )
    monthly_cpu_minutes = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=1_000_000, help_text="null: no limit."
    )
