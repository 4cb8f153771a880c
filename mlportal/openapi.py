"""How the REST API is described: what Spectacular is told by the settings; nothing here imports Django."""

from typing import Any

DESCRIPTION: dict[str, Any] = {
    "TITLE": "mlportal",
    "DESCRIPTION": "Datasets, training jobs, runs, models, promotions, endpoints, monitoring and alerts.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    # Words for choices that several fields have, or that stand under a name that several kinds of choices have.
    "ENUM_NAME_OVERRIDES": {
        "WorkState": "mlportal.lib.lease.WorkState",
        "RunState": ["queued", "running", "finished", "failed", "cancelled"],
        "VersionState": "deployments.models.ModelVersion.State",
        "PolicyState": "deployments.models.Policy.State",
        "PolicyTimeout": "deployments.models.Policy.Timeout",
        "PromotionState": "deployments.models.PromotionRequest.State",
        "PromotionVerdict": "deployments.models.Decision.Verdict",
        "MemberRole": ["viewer", "scientist", "manager", "ops", "admin"],
        "AlertState": "monitoring.models.alerts.AlertState",
        "AlertSeverity": "monitoring.models.rules.Severity",
        "LeastSeverity": ["critical", "high", "medium", "low"],
        "AlertJudgement": "monitoring.models.Alert.Judgement",
        "RuleAction": "monitoring.models.AlertRule.Action",
        "RuleMetric": "monitoring.models.rules.Metric",
        "WindowVerdict": "monitoring.models.windows.Verdict",
        "TrialMetric": "deployments.models.Trial.Metric",
        "ChannelKind": "projects.models.Channel.Kind",
        "DatasetSource": "projects.models.DatasetVersion.Source",
        "DatasetFormat": "projects.models.DatasetVersion.Format",
        "TrashedKind": ["dataset", "version"],
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "mlportal.lib.api.declare_problems",
    ],
}
