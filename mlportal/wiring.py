"""Which functions of the apps hear of what, answer for others and take long, by name: no app imports one above it.

Taken into the settings, where the lower apps read them.
"""

# Tasks that take long; all others must never wait behind them.
CELERY_TASK_ROUTES: dict[str, dict[str, str]] = {
    "experiments.execute_job": {"queue": "jobs"},
    "experiments.study_importance": {"queue": "jobs"},
    "projects.profile_version": {"queue": "jobs"},
    "projects.run_checks": {"queue": "jobs"},
    "projects.cut_split": {"queue": "jobs"},
    "projects.import_dataset": {"queue": "jobs"},
    "deployments.evaluate_request": {"queue": "jobs"},
    "deployments.explain_version": {"queue": "jobs"},
    "deployments.certify_reproduction": {"queue": "jobs"},
    "deployments.convert_version": {"queue": "jobs"},
    "deployments.score_batch": {"queue": "jobs"},
    "deployments.explain_prediction": {"queue": "jobs"},
    "deployments.run_backtest": {"queue": "jobs"},
    "deployments.search_person": {"queue": "jobs"},
    "deployments.issue_technical_file": {"queue": "jobs"},
    "deployments.draw_paper": {"queue": "jobs"},
}
# (event verb, task): the task gets the id of an EventDelivery row; see projects.services.events.
NOTIFIED = (
    "alert.firing", "alert.raised", "alert.resolved", "alert.acknowledged", "promotion.requested", "promotion.approved",
    "promotion.approval_added", "promotion.rejected", "promotion.changes_requested", "promotion.reminder",
    "promotion.withdrawn", "promotion.escalated", "promotion.expired", "promotion.stale", "promotion.lapsed",
    "promotion.suspended", "version.reproduction_certified", "delegation.given", "delegation.revoked",
    "gate.overridden", "policy.proposed", "policy.changed", "endpoint.frozen", "endpoint.break_glass",
    "break_glass.reviewed", "endpoint.switched", "endpoint.rolled_back", "endpoint.rollback_held", "rollout.moved",
    "rollout.paused", "rollout.aborted", "rollout.promoted", "trial.stopped", "trial.mismatch", "trial.judged",
    "predictions.unlogged", "job.failed", "job.succeeded", "comment.added", "checks.failed", "checks.passed",
)  # fmt: skip
# What webhooks of MLflow clients can be told.
NOTIFIED_CLIENTS = (
    "model.created", "version.created", "version.registered", "version.tag_set", "version.tag_removed", "alias.set",
    "alias.removed",
)  # fmt: skip
EVENT_CONSUMERS: list[tuple[str, str]] = [
    ("user.second_factor_reset", "projects.tell_of_reset"),
    *(
        (verb, "projects.tell_of_access")
        for verb in ("access.requested", "access.granted", "access.declined", "access.expired")
    ),
    *((verb, "projects.notify") for verb in (*NOTIFIED, *NOTIFIED_CLIENTS)),
    *(
        (verb, "projects.anchor_promotion")
        for verb in ("promotion.approved", "endpoint.switched", "endpoint.rolled_back", "endpoint.break_glass")
    ),
    ("alert.firing", "deployments.suspend"),
    *((verb, "deployments.roll_back") for verb in ("alert.firing", "alert.raised")),
    *((verb, "deployments.react") for verb in ("alert.firing", "job.succeeded", "job.failed", "job.cancelled")),
]
# What stars and comments stand on: type, and the function that looks up rows by number.
TARGETS = {
    "dataset": "projects.services.targets.datasets",
    "dataset_version": "projects.services.targets.dataset_versions",
    "check": "projects.services.targets.checks",
    "split": "projects.services.targets.splits",
    "import": "projects.services.targets.imports",
    "folder": "experiments.queries.targets.folders",
    "experiment": "experiments.queries.targets.experiments",
    "run": "experiments.queries.targets.runs",
    "job": "experiments.queries.targets.jobs",
    "logged_model": "experiments.queries.targets.logged_models",
    "artifact": "experiments.queries.targets.artifacts",
    "view": "experiments.queries.targets.views",
    "report": "experiments.queries.targets.reports",
    "model": "deployments.queries.model_targets",
    "version": "deployments.queries.version_targets",
    "promotion": "deployments.queries.promotion_targets",
    "endpoint": "deployments.queries.endpoint_targets",
    "environment": "deployments.queries.environment_targets",
    "policy": "deployments.queries.policy_targets",
    "trial": "deployments.queries.trial_targets",
    "technical_file": "deployments.queries.technical_file_targets",
    "batch": "deployments.queries.batch_targets",
    "alert": "monitoring.queries.alert_targets",
    "incident": "monitoring.queries.incident_targets",
    "monitor": "monitoring.queries.monitor_targets",
    "rule": "monitoring.queries.rule_targets",
}
# Function (project, endpoint, version) that tells what an endpoint would be rolled back to, None when there is nothing.
WAY_BACK = "deployments.services.endpoints.way_back"
# Function (project, endpoint) that says what trial runs there and where its answer will stand, None without one.
RUNNING_TRIAL = "deployments.queries.running_trial"
# What one may ask on why somebody can or cannot do something: kind, and the function that finds or offers such things.
RIGHTS_ON = {
    "environment": "deployments.services.rights.environments",
    "promotion": "deployments.services.rights.promotions",
    "folder": "experiments.queries.rights.folders",
    "experiment": "experiments.queries.rights.experiments",
    "run": "experiments.queries.rights.runs",
}
# Functions of the apps above projects that tell what dataset versions are used by.
DATASET_USES = ["experiments.queries.dataset_uses", "deployments.queries.dataset_uses"]
# Functions of the apps above experiments that tell where a run's models answer.
RUN_USES = ["deployments.queries.run_uses"]
# Functions of the apps above projects that tell what forbids to delete dataset versions.
DATASET_HOLDS = ["experiments.queries.dataset_holds", "deployments.queries.dataset_holds"]
# Functions of the apps above projects that add to the graph of what came of a dataset version.
DATASET_LINEAGE = ["experiments.queries.dataset_lineage", "deployments.queries.dataset_lineage"]
# Functions of the apps above experiments that tell what was registered from runs and logged models.
MODEL_VERSIONS = ["deployments.queries.registered_from"]
# Functions (project, run ids or None for all) -> {run id: reason} of what still needs a run, so that it is not removed.
RUN_HOLDERS = ["deployments.queries.runs_held"]
