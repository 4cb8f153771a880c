"""Sums of whole days and weeks, so that a window of months is read from a few rows instead of thousands."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class Day(models.Model):
    """One day of a monitor that has counts, and whether its sums are those of the counts."""

    monitor = models.ForeignKey("monitoring.Monitor", models.CASCADE, related_name="days", db_index=False)
    at = models.DateTimeField(help_text="Midnight it begins with, in UTC.")
    changed_at = models.DateTimeField(null=True, help_text="When counts came that are in no sum; empty: all are.")
    summed = models.PositiveIntegerField(default=0, help_text="How often its counts were added up.")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["monitor", "at"], name="one_day_a_monitor")]
        indexes: ClassVar = [
            # serves the worker, which sums the days that have been quiet for a while
            models.Index(fields=["changed_at"], condition=Q(changed_at__isnull=False), name="day_unsummed")
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d}"


class DaySum(models.Model):
    """Counts of one column added up over a day, of all requests or of one segment; as `Bucket`.

    Should a column have had several grids in a day, each stretch of one grid has a row, the oldest first.
    """

    day = models.ForeignKey(Day, models.CASCADE, related_name="sums", db_index=False)
    segment = models.CharField(max_length=710, blank=True, help_text="Column and value: region=north; empty: all.")
    column = models.CharField(max_length=500)
    # Text, since PostgreSQL takes as long to write thousands of jsonb values out as Python takes to read them.
    counts = models.TextField(help_text="JSON, as in Bucket; only ever read whole.")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["day", "segment", "column"], name="sum_by_day")]

    def __str__(self) -> str:
        return f"{self.segment or 'all'}: {self.column}"


class Week(models.Model):
    """Seven days of a monitor added up from the sums of the days; they hold while no day of it is summed again."""

    monitor = models.ForeignKey("monitoring.Monitor", models.CASCADE, related_name="weeks", db_index=False)
    at = models.DateTimeField(help_text="Midnight of the Monday it begins with, in UTC.")
    summed = models.PositiveIntegerField(help_text="How often its days had been added up, all together.")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["monitor", "at"], name="one_week_a_monitor")]

    def __str__(self) -> str:
        return f"{self.at:%G-W%V}"


class WeekSum(models.Model):
    """Counts of one column added up over a week; as `DaySum`."""

    week = models.ForeignKey(Week, models.CASCADE, related_name="sums", db_index=False)
    segment = models.CharField(max_length=710, blank=True, help_text="Column and value: region=north; empty: all.")
    column = models.CharField(max_length=500)
    counts = models.TextField(help_text="JSON, as in Bucket; only ever read whole.")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["week", "segment", "column"], name="sum_by_week")]

    def __str__(self) -> str:
        return f"{self.segment or 'all'}: {self.column}"
