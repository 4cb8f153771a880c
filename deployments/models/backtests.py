"""Replays of a policy over the past, kept with its version."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from deployments.models.policies import Policy
from mlportal.lib.lease import LeasedWork
from projects.models.scoped import ProjectScoped


class BacktestQuerySet(ProjectScoped["Backtest"]):
    """Reads of back-tests."""

    project_path = "policy__environment__project"


class Backtest(LeasedWork):
    """What a version of the rules would have said about past requests and says about what is live.

    ``result``: ``{"at", "in_force", "requests": [row], "production": [row], "left_out"}``; a row has ``standing`` and
    ``before`` (pass, block or none, under this version and under the one in force), ``gate`` and ``found`` of the
    gate that decides, and ``advisory``, the number of advisory failures. The database refuses changes once it ended.
    """

    policy = models.ForeignKey(Policy, models.PROTECT, related_name="backtests")
    last = models.PositiveSmallIntegerField(help_text="How many requests are replayed, the newest first.")
    asked_by = models.ForeignKey("projects.User", models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    result = models.JSONField(null=True)

    objects = BacktestQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["policy"],
                condition=Q(state__in=["queued", "starting", "running"]),
                name="one_open_backtest_a_policy",
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["queued_at"], condition=Q(state__in=["queued", "starting", "running"]), name="backtest_open"
            )  # sweeper
        ]

    def __str__(self) -> str:
        return f"back-test of {self.policy}"

    def counts(self, part: str) -> dict[str, int]:
        """Count the rows of ``requests`` or ``production`` by standing."""
        rows: list[dict[str, Any]] = (self.result or {}).get(part, [])
        return {word: sum(row["standing"] == word for row in rows) for word in ("pass", "block", "none")}

    @property
    def newly_blocked(self) -> list[dict[str, Any]]:
        """What is live now, passes the rules in force and would not pass these."""
        rows: list[dict[str, Any]] = (self.result or {}).get("production", [])
        return [row for row in rows if row["before"] == "pass" and row["standing"] != "pass"]
