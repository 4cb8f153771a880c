"""What beat sends, and how often. Each task looks for itself whether there is anything to do."""

from typing import Any

# Seconds between two messages of a task.
EVERY: dict[float, tuple[str, ...]] = {
    3: ("monitoring.ship_predictions",),
    5: ("monitoring.flush_groups",),
    10: ("deployments.move_rollouts",),
    60: (
        "deployments.keep_time", "experiments.end_folder_roles", "monitoring.complete_references", "projects.end_roles",
    ),
    300: ("deployments.look_at_held_retrainings", "monitoring.sum_days"),
    1800: ("deployments.measure_retrainings",),
    3600: (
        "deployments.forget_predictions", "deployments.remove_projects", "experiments.expire_trash",
        "projects.anchor_audit", "projects.expire_datasets", "projects.forget_idempotency_keys",
        "projects.forget_sessions",
    ),
    21_600: ("deployments.forget_statistics", "mlportal.collect_files"),
    86_400: ("experiments.forget_steps", "mlportal.sweep_uploads", "monitoring.forget_unmatched_labels"),
}  # fmt: skip
# What a killed process left, and what is due: as often as the installation says.
SWEEPS = (
    "deployments.sweep_backtests", "deployments.sweep_batches", "deployments.sweep_evaluations",
    "deployments.sweep_reproductions", "deployments.sweep_technical_files", "experiments.sweep_bulk",
    "experiments.sweep_jobs", "experiments.sweep_studies", "monitoring.roll_windows", "projects.republish_events",
    "projects.sweep_checks", "projects.sweep_imports", "projects.sweep_profiles", "projects.sweep_splits",
    "projects.wake_deliveries",
)  # fmt: skip


def schedule(sweep_seconds: float) -> dict[str, dict[str, Any]]:
    """Return Celery's beat schedule, in seconds; sweep_seconds is the interval of the sweeps."""
    times = [(task, seconds) for seconds, tasks in EVERY.items() for task in tasks]
    return {task: entry(task, seconds) for task, seconds in [*times, *((task, sweep_seconds) for task in SWEEPS)]}


def entry(task: str, seconds: float) -> dict[str, Any]:
    """Return one line of the schedule; a message that three later ones overtook is dropped."""
    return {"task": task, "schedule": seconds, "options": {"expires": min(max(3 * seconds, 10), 3600)}}
