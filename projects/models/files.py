"""Stored files that no row names."""

from django.db import models


class UnnamedFile(models.Model):
    """A stored file that no row named when it was looked for; see ``mlportal.collection``."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    size_bytes = models.BigIntegerField()
    found_at = models.DateTimeField(db_index=True, help_text="When it was first found without a name.")
    seen_at = models.DateTimeField(db_index=True, help_text="When it was last found so.")

    def __str__(self) -> str:
        return self.sha256[:12]
