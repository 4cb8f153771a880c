"""What came of the units that several versions share, as sums: a look reads these and no prediction."""

from typing import ClassVar

from django.db import models


class Division(models.Model):
    """What is measured of the units of one rollout or trial; sums are added to where predictions and labels come in."""

    class Metric(models.TextChoices):
        CORRECT = "correct", "share of right predictions (ground truth)"
        ERROR = "error", "mean absolute error (ground truth)"
        CONVERSION = "conversion", "conversion (ground truth)"
        LATENCY = "latency", "mean log latency"

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="+")
    key = models.CharField(max_length=64, unique=True, help_text="What divides the units, such as trial 7.")
    metric = models.CharField(max_length=10, choices=Metric)
    positive = models.CharField(max_length=200, blank=True, help_text="The ground truth that counts as a conversion.")
    ended_at = models.DateTimeField(null=True, help_text="From then on nothing is added.")

    def __str__(self) -> str:
        return self.key


class DivisionSource(models.Model):
    """A revision whose predictions count; a rollout has one a step."""

    division = models.ForeignKey(Division, models.CASCADE, related_name="sources")
    source = models.BigIntegerField(unique=True, help_text="Id of the endpoint's revision.")

    def __str__(self) -> str:
        return f"revision {self.source} of {self.division_id}"


class DivisionUnit(models.Model):
    """One unit that a variant answered; its outcome is the mean over its rows. Kept while the division lasts."""

    division = models.ForeignKey(Division, models.CASCADE, related_name="+", db_index=False)
    variant = models.CharField(max_length=40)
    unit = models.BigIntegerField()
    rows = models.PositiveIntegerField(default=0, help_text="Rows with an outcome.")
    total = models.FloatField(default=0.0, help_text="Sum of their outcomes.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["division", "variant", "unit"], name="one_row_a_unit_of_a_variant")
        ]

    def __str__(self) -> str:
        return f"unit {self.unit} of {self.variant}"


class DivisionArm(models.Model):
    """Sums over the units of one variant."""

    division = models.ForeignKey(Division, models.CASCADE, related_name="arms", db_index=False)
    variant = models.CharField(max_length=40)
    met = models.PositiveIntegerField(default=0, help_text="Units it answered, with an outcome or without.")
    units = models.PositiveIntegerField(default=0, help_text="Units with an outcome.")
    total = models.FloatField(default=0.0, help_text="Sum of the units' outcomes.")
    squares = models.FloatField(default=0.0, help_text="Sum of their squares.")
    truths = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="How often ground truth of its predictions came or changed."
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["division", "variant"], name="one_arm_a_variant_of_a_division")
        ]

    def __str__(self) -> str:
        return f"{self.variant} of {self.division_id}"
