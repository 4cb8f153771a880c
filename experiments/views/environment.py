"""Code and environment of a run: what tracking clients write as tags and files, and our own trainings as a report."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db.models import Q

from experiments.models import Artifact
from experiments.queries import RunFacts, files
from experiments.views.places import Place
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError

REPORTS = ("environment.json", "model/environment.json")
LISTS = ("requirements.txt", "model/requirements.txt", "pip-freeze.txt", "environment.lock")
DIFFS = ("git.diff", "git_diff.patch", "code.diff", "diff.patch", "code/git.diff")
DIFF_TAGS = ("mlflow.git.diff", "git.diff")
READ_BYTES = 2**20
DIFF_CHARS = 100_000
MOST_PACKAGES = 3000
_REQUIRED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?:[=~<>!]=?=?\s*([^\s;#]+))?")
_GIT = (
    ("Commit", ("mlflow.source.git.commit", "mlflow.git.commit")),
    ("Branch", ("mlflow.source.git.branch", "mlflow.git.branch")),
    ("Repository", ("mlflow.source.git.repoURL", "mlflow.git.repoUrl")),
    ("Uncommitted changes", ("mlflow.source.git.dirty", "mlflow.git.dirty")),
)
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a difference: ``kind`` is add, drop, head or nothing."""

    text: str
    kind: str


@dataclass(slots=True)
class Environment:
    """What is known of where a run was computed; every part may be empty."""

    git: list[tuple[str, str]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    packages: list[tuple[str, str]] = field(default_factory=list)
    diff: list[DiffLine] = field(default_factory=list)
    is_diff_cut: bool = False
    sources: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_known(self) -> bool:
        """Whether anything is."""
        return bool(self.git or self.facts or self.packages or self.diff)


def read(facts: RunFacts, place: Place) -> Environment:
    """Collect it: one query, and at most three files of at most a megabyte each."""
    found = Environment(git=[(word, value) for word, tags in _GIT if (value := _tag(facts, tags))])
    stored = {a.path: a for a in files.files_of(facts.run).filter(_wanted())}
    if report := _first(stored, REPORTS):
        _take_report(found, _json(report))
        found.sources.append((report.path, place.show(report.path)))
    lists = sorted(path for path in stored if path.endswith("requirements.txt"))
    listed = _first(stored, (*LISTS, *lists))
    if listed is not None and not found.packages:
        found.packages = _required(_text(listed))
        found.sources.append((listed.path, place.show(listed.path)))
    _take_diff(found, facts, _first(stored, DIFFS), place)
    return found


def _wanted() -> Q:
    return Q(path__in=[*REPORTS, *LISTS, *DIFFS]) | Q(path__endswith="/requirements.txt")


def _first(stored: dict[str, Artifact], paths: tuple[str, ...]) -> Artifact | None:
    return next((stored[path] for path in paths if path in stored), None)


def _tag(facts: RunFacts, names: tuple[str, ...]) -> str:
    return next((facts.tags[name] for name in names if facts.tags.get(name)), "")


def _text(artifact: Artifact) -> str:
    try:
        with blobs.open_blob(artifact.sha256) as stream:
            return stream.read(READ_BYTES).decode("utf-8", "replace")
    except (DomainError, OSError):
        return ""


def _json(artifact: Artifact) -> Json:
    try:
        told = orjson.loads(_text(artifact))
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _take_report(found: Environment, told: Json) -> None:
    words = {"python": "Python", "platform": "Platform", "portal": "Portal", "executable": "Program"}
    found.facts += [(word, str(told[name])[:300]) for name, word in words.items() if told.get(name)]
    hardware = told.get("hardware")
    for name, value in (hardware if isinstance(hardware, dict) else {}).items():
        label = str(name).replace("_", " ").capitalize()
        found.facts.append((label, _amount(str(name), value)))
    git = told.get("git")
    if isinstance(git, dict) and not found.git:
        found.git = [(str(k).capitalize(), str(v)[:300]) for k, v in git.items() if k != "diff" and v]
    packages = told.get("packages") or told.get("libraries")
    if isinstance(packages, dict):
        pairs = sorted(((str(k)[:100], str(v)[:60]) for k, v in packages.items()), key=lambda pair: pair[0].lower())
        found.packages = pairs[:MOST_PACKAGES]


def _amount(name: str, value: object) -> str:
    if name.endswith("bytes") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)[:300]


def _required(text: str) -> list[tuple[str, str]]:
    """Read a list of requirements; what is no requirement is left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "-"))]
    matches = [m for line in lines[:MOST_PACKAGES] if (m := _REQUIRED.match(line))]
    return sorted(((m[1], m[2] or "") for m in matches), key=lambda pair: pair[0].lower())


def _take_diff(found: Environment, facts: RunFacts, artifact: Artifact | None, place: Place) -> None:
    text = _tag(facts, DIFF_TAGS)
    if not text and artifact is not None:
        text = _text(artifact)
        found.sources.append((artifact.path, place.show(artifact.path)))
    found.is_diff_cut = len(text) > DIFF_CHARS
    found.diff = [DiffLine(line, _kind(line)) for line in text[:DIFF_CHARS].splitlines()]


def _kind(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ", "@@")):
        return "head"
    return "add" if line.startswith("+") else "drop" if line.startswith("-") else ""
