"""Which issued papers may go: those of a project that is being removed."""

from typing import ClassVar

from django.db import models


class PaperRelease(models.Model):
    """A signed certificate or an issued technical file whose deletion the database lets through.

    Triggers keep such papers; a row here, written by the removal of their project, is the one way past them. It names
    the paper by its number alone: a trigger that read other tables would break when one of those is altered.
    """

    class Kind(models.TextChoices):
        TECHNICAL_FILE = "file", "technical file"
        CERTIFICATE = "certificate", "certificate of reproduction"

    kind = models.CharField(max_length=11, choices=Kind)
    paper = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "paper"], name="one_release_a_paper")]

    def __str__(self) -> str:
        return f"release of {self.get_kind_display()} {self.paper}"
