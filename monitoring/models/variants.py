"""What each variant of a split endpoint was asked, minute by minute."""

from typing import ClassVar

from django.db import models


class VariantCount(models.Model):
    """Counts of one variant of one revision in one minute; written by the shipper only, added to, never taken from.

    Kept for revisions with several routes; what answers alone is counted by its monitor.
    """

    class Mode(models.TextChoices):
        LIVE = "live", "live"
        SHADOW = "shadow", "shadow"

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="+", db_index=False)
    endpoint = models.CharField(max_length=210)
    source = models.BigIntegerField(help_text="Id of the endpoint's revision.")
    variant = models.CharField(max_length=40)
    mode = models.CharField(max_length=6, choices=Mode, default=Mode.LIVE)
    label = models.CharField(max_length=200, help_text="The version as people read it.")
    minute = models.DateTimeField()
    requests = models.PositiveIntegerField(default=0, help_text="Refused ones included.")
    errors = models.PositiveIntegerField(default=0)
    assigned = models.PositiveIntegerField(default=0, help_text="Requests the split sent here; pinned ones are none.")
    sticky = models.PositiveIntegerField(default=0, help_text="Of those, how many named their unit.")
    rows = models.PositiveIntegerField(default=0)
    bad_outputs = models.PositiveIntegerField(default=0, help_text="Empty or impossible answers.")
    timeouts_in_a_row = models.PositiveIntegerField(default=0)
    loads = models.PositiveIntegerField(default=0, help_text="Serving processes that have it ready.")
    load_failures = models.PositiveIntegerField(default=0)
    trouble = models.CharField(max_length=500, blank=True, help_text="Why it could not be loaded.")
    differing = models.PositiveIntegerField(default=0, help_text="Rows that a shadow answered otherwise.")
    dropped = models.PositiveIntegerField(default=0, help_text="Requests that a shadow had no time for.")
    latency = models.JSONField(default=list, help_text="Counts of the bins of monitoring.drift.shape.")
    scores = models.JSONField(default=list, help_text="Counts of the bins that the revision names.")
    score_sum = models.FloatField(default=0.0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "variant", "minute"], name="one_count_a_variant_and_minute")
        ]
        indexes: ClassVar = [
            # serves the page of an endpoint
            models.Index(fields=["project", "endpoint", "minute"], name="variant_by_endpoint")
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.variant} {self.minute:%Y-%m-%d %H:%M}"
