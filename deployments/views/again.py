"""What the card of reproductions says: the newest certificate in words, and what is under way."""

from dataclasses import dataclass
from typing import Any

from django.utils.functional import cached_property

from deployments.models import Reproduction
from mlportal.lib.lease import WorkState

SHOWN = 6


@dataclass
class Shown:
    """The newest reproductions of a version, and why none can be made."""

    rows: list[Reproduction]
    why_not: str

    @property
    def open(self) -> Reproduction | None:
        """The one under way."""
        return next((row for row in self.rows if not row.is_terminal), None)

    @property
    def failed(self) -> Reproduction | None:
        """The last one, when it ended without a certificate."""
        last = self.rows[0] if self.rows else None
        return last if last and last.is_terminal and last.state != WorkState.SUCCEEDED else None

    @cached_property
    def certificates(self) -> list[Reproduction]:
        """Those that were signed."""
        return [row for row in self.rows if row.document]

    @property
    def newest(self) -> Reproduction | None:
        """The newest certificate."""
        return next(iter(self.certificates), None)

    @property
    def earlier(self) -> list[Reproduction]:
        """The certificates before it."""
        return self.certificates[1:]

    @property
    def found(self) -> dict[str, Any]:
        """What the newest certificate says."""
        return (self.newest.document if self.newest else None) or {}

    @property
    def changed_files(self) -> list[dict[str, Any]]:
        """Files that hold something else."""
        return [row for row in self.found.get("files", []) if not row["same"]]

    @property
    def same(self) -> int:
        """How many files hold the same."""
        return len(self.found.get("files", [])) - len(self.changed_files)

    @property
    def words(self) -> str:
        """Say in one sentence what came out."""
        if self.found.get("failure"):
            return str(self.found["failure"])
        outside = [row["metric"] for row in self.found.get("metrics", []) if not row["within"]]
        if outside:
            return f"Outside its tolerance: {', '.join(outside[:3])}{' and more' if len(outside) > 3 else ''}."
        answers = self.found.get("predictions") or {"within": False}
        return "" if answers["within"] else "Predictions differ more than their tolerance allows."
