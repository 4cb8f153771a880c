"""What people wrote in the papers of a version: of the model, with the version's own words standing over them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployments.models import ModelVersion, PaperVersion
from deployments.proof import canonical


@dataclass(frozen=True)
class Part:
    """One text: who wrote it, when (ISO 8601), in which version of the paper, and for the model or one version.

    ``by`` is None when only a record of the model has it, which does not say who wrote it.
    """

    text: str
    by: int | None
    at: str
    number: int
    level: str


@dataclass(frozen=True)
class Written:
    """Everything written in a paper, as one version of a model shows it; number 0 is nothing yet."""

    number: int = 0
    parts: Mapping[str, Part] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return one text, empty when nobody wrote it."""
        return self.parts[name].text if name in self.parts else ""

    def sha256(self) -> str:
        """Return the hash over what was written and where, whoever wrote it."""
        return canonical.digest({name: [part.level, part.text] for name, part in self.parts.items()})


def written(version: ModelVersion, paper: str, *, number: int | None = None) -> Written:
    """Return what was written for a version: two queries.

    Parameters
    ----------
    paper
        ``card`` or ``file``.
    number
        As of this version of the paper; None is the newest.
    """
    rows = PaperVersion.objects.about(version, paper).order_by("-number")
    if number is not None:
        rows = rows.filter(number__lte=number)
    # Words of the version come last, so that they stand over those of the model.
    newest = [rows.filter(version=None).first(), rows.filter(version=version).first()]
    parts = {
        name: _part(said, "version" if row.version_id else "model")
        for row in newest if row is not None
        for name, said in row.parts.items()
    }  # fmt: skip
    return Written(max((row.number for row in newest if row is not None), default=0), parts)


def own(version: ModelVersion, paper: str, *, level: str) -> dict[str, Any]:
    """Return the parts kept at one level, as they are stored."""
    rows = PaperVersion.objects.about(version, paper).filter(version=version if level == "version" else None)
    newest = rows.order_by("-number").first()
    return dict(newest.parts) if newest else {}


def _part(said: Mapping[str, Any], level: str) -> Part:
    return Part(said["text"], said["by"], said["at"], said["number"], level)
