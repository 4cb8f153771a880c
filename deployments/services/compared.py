"""Two versions side by side, of one model or of two: what differs, and which is better where that can be said."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from deployments.cards import parts as card
from deployments.models import Endpoint, EndpointRevision, ModelVersion, PromotionRequest
from deployments.proof import schema
from experiments import queries
from experiments.queries import RunFacts
from experiments.training.catalogue import METRICS
from mlportal.lib.errors import Invalid, Missing
from projects.actor import Actor
from projects.models import Project
from projects.permissions import Permission, require

CODE_TAGS = {
    "commit": ("mlflow.source.git.commit", "mlflow.git.commit"),
    "branch": ("mlflow.source.git.branch", "mlflow.git.branch"),
    "repository": ("mlflow.source.git.repoURL", "mlflow.git.repoUrl"),
    "uncommitted changes": ("mlflow.source.git.dirty", "mlflow.git.dirty"),
    "source": ("mlflow.source.name",),
    "entry point": ("mlflow.project.entryPoint",),
}
LONG = 20  # lines of a part from which those that are the same are folded away
Json = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One thing of both versions. ``verdict`` says whether the second is better or worse, where that is known."""

    name: str
    left: Any
    right: Any
    difference: float | None = None
    verdict: str = ""
    href: str = ""

    @property
    def changed(self) -> bool:
        """Whether both differ."""
        return bool(self.left != self.right)

    @property
    def is_number(self) -> bool:
        """Whether the line is measured."""
        return all(each is None or isinstance(each, float) for each in (self.left, self.right))


@dataclass(frozen=True)
class Part:
    """One table of a comparison; ``notes`` says in words what a table cannot."""

    key: str
    title: str
    lines: list[Line]
    notes: list[schema.Difference] = field(default_factory=list)
    empty: str = "Neither records any."

    @property
    def is_long(self) -> bool:
        """Whether lines that are the same are folded away; metrics never are."""
        return len(self.lines) > LONG and self.key != "metrics"

    @property
    def shown(self) -> list[Line]:
        """What a page shows at once."""
        return [line for line in self.lines if line.changed] if self.is_long else self.lines

    @property
    def folded(self) -> list[Line]:
        """What it shows when asked."""
        return [line for line in self.lines if not line.changed] if self.is_long else []

    @property
    def changes(self) -> int:
        """How many lines differ."""
        return sum(line.changed for line in self.lines)


@dataclass(frozen=True)
class Comparison:
    """Two versions and everything that can be set side by side."""

    left: ModelVersion
    right: ModelVersion
    parts: list[Part]

    def plain(self) -> Json:
        """Return it for a script."""
        return {
            "left": _name(self.left), "right": _name(self.right),
            "parts": [
                {
                    "part": part.key, "title": part.title, "changes": part.changes,
                    "notes": [asdict(note) for note in part.notes],
                    "lines": [
                        {"name": line.name, "left": line.left, "right": line.right, "difference": line.difference,
                         "verdict": line.verdict, "changed": line.changed}
                        for line in part.lines
                    ],
                }
                for part in self.parts
            ],
        }  # fmt: skip


def compare(by: Actor, *, project: Project, left: str, right: str) -> Comparison:
    """Set two versions side by side, each named ``MODEL@NUMBER``.

    Raises
    ------
    Invalid
        When a name is not of that form.
    Missing
        When the project has no such version.
    """
    require(by, Permission.MODEL_VIEW, project)
    one, other = find(by, project=project, name=left, field="a"), find(by, project=project, name=right, field="b")
    pks = [pk for pk in dict.fromkeys((one.run_id, other.run_id)) if pk]
    facts = {row.run.pk: row for row in queries.facts_of(pks, [])}
    runs = facts.get(one.run_id or 0), facts.get(other.run_id or 0)
    return Comparison(
        one, other,
        [
            Part("about", "About", _pair(about, one, other)),
            Part("metrics", "Metrics", _metrics(one, other)),
            Part("environments", "Environments", _environments(one, other), empty="Neither was promoted."),
            Part("schema", "Schema", _pair(columns, one, other), schema.differences(one.signature, other.signature)),
            Part("params", "Parameters", _pair(params, *runs), empty="The runs record none."),
            Part("data", "Data", _pair(data, one, other), empty="No dataset is recorded."),
            Part("code", "Code", _lines(code(runs[0], one), code(runs[1], other)), empty="No code is recorded."),
            Part("packages", "Packages", _pair(packages, one, other), empty="No package is recorded."),
            Part("card", "Model card", _pair(written, one, other), empty="Nobody has written any part."),
            Part("files", "Files", _pair(files, one, other), empty="The portal holds no file of either."),
        ],
    )  # fmt: skip


def find(by: Actor, *, project: Project, name: str, field: str = "version") -> ModelVersion:
    """Return the version that ``MODEL@NUMBER`` names.

    Raises
    ------
    Invalid
        When it is not of that form.
    Missing
        When the project has no such version.
    """
    require(by, Permission.MODEL_VIEW, project)
    model, _, number = name.strip().rpartition("@")
    if not model or not (number.isascii() and number.isdigit()):
        raise Invalid(f"Name a version as MODEL@NUMBER, not {name[:80]!r}.", field=field, got=name[:80])
    rows = ModelVersion.objects.visible_to(by).in_project(project).with_origin().select_related("model__owner")
    found = rows.filter(model__name=model, number=min(int(number[:10]), 2**31 - 1)).first()
    if found is None:
        raise Missing(f"There is no version {name[:80]} in this project.", field=field, got=name[:80])
    return found


def about(version: ModelVersion) -> Json:
    """Return what a version is."""
    model = version.model
    return {
        "model": model.name, "version": version.number, "task": version.task or None,
        "algorithm": version.algorithm or None, "origin": version.get_origin_display(),
        "state": version.get_state_display(), "size": version.size_bytes, "run": version.run_id,
        "registered by": str(version.created_by), "registered at": version.created_at.isoformat(timespec="seconds"),
        "owner": model.owner.username if model.owner else None, "risk class": model.get_risk_class_display(),
        "intended purpose": model.intended_purpose or None, "manifest": version.manifest_sha256,
    }  # fmt: skip


def params(facts: RunFacts | None) -> Json:
    """Return the parameters of a run."""
    return dict(facts.params) if facts else {}


def data(version: ModelVersion) -> Json:
    """Return the dataset a version learned from."""
    found = version.dataset_version
    return {} if found is None else {"dataset": str(found), "rows": f"{found.row_count:,}", "sha256": found.sha256[:12]}


def code(facts: RunFacts | None, version: ModelVersion) -> Json:
    """Return which code made a version, as its run records it."""
    tags = facts.tags if facts else {}
    found = {"algorithm": version.algorithm} | {
        name: next((tags[key] for key in keys if tags.get(key)), None) for name, keys in CODE_TAGS.items()
    }
    return {name: value for name, value in found.items() if value}


def packages(version: ModelVersion) -> dict[str, str]:
    """Return Python and the packages of the training, by name."""
    told = version.environment
    named = next((told[key] for key in ("packages", "libraries") if isinstance(told.get(key), dict)), None)
    if named is None:
        return {name: value for name, value in told.items() if isinstance(value, str)}
    python = {"python": str(told["python"])} if told.get("python") else {}
    return python | {str(name): str(value) for name, value in sorted(named.items())}


def columns(version: ModelVersion) -> Json:
    """Return the input and output columns, each in a few words."""
    found = {str(row["name"]): _column(row) for row in version.signature.get("inputs", []) if "name" in row}
    outputs = version.signature.get("outputs", [])
    return found | {f"answer: {row['name']}": _column(row) for row in outputs if "name" in row}


def written(version: ModelVersion) -> Json:
    """Return the hand-written parts of a version's card."""
    said = card.parts(version).parts
    return {item.label: said[name].text for name, item in card.PARTS.items() if name in said}


def files(version: ModelVersion) -> Json:
    """Return the files with their size and hash."""
    return {row["path"]: f"{row['size_bytes']:,} bytes, {row['sha256'][:12]}" for row in version.manifest}


def _name(version: ModelVersion) -> str:
    return f"{version.model.name}@{version.number}"


def _column(row: Mapping[str, Any]) -> str:
    words = [str(row.get("kind") or "value"), "may be empty" if row.get("nullable") else ""]
    if row.get("categories"):
        words.append(", ".join(map(str, row["categories"]))[:200])
    if row.get("classes"):
        words.append(", ".join(map(str, row["classes"]))[:200])
    if row.get("min") is not None:
        words.append(f"{row['min']} to {row.get('max')}")
    return "; ".join(word for word in words if word)


def _pair(read: Callable[[Any], Json], left: Any, right: Any) -> list[Line]:
    return _lines(read(left), read(right))


def _lines(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Line]:
    return [Line(name, left.get(name), right.get(name)) for name in dict.fromkeys((*left, *right))]


def _metrics(left: ModelVersion, right: ModelVersion) -> list[Line]:
    known = [name for name in METRICS if name in left.metrics or name in right.metrics]
    others = sorted({*left.metrics, *right.metrics} - set(known))
    return [_metric(name, left.metrics.get(name), right.metrics.get(name)) for name in (*known, *others)]


def _metric(name: str, left: float | None, right: float | None) -> Line:
    one, other = None if left is None else float(left), None if right is None else float(right)
    change = other - one if one is not None and other is not None else None
    better = METRICS.get(name.removeprefix("cv/").removeprefix("cv_mean/"), {}).get("better")
    if not change or not better:
        return Line(name, one, other, change, "same" if change == 0 else "")
    return Line(name, one, other, change, "better" if (change > 0) == (better == "higher") else "worse")


def _environments(left: ModelVersion, right: ModelVersion) -> list[Line]:
    return _lines(*_standing([left, right]))


def _standing(versions: list[ModelVersion]) -> list[Json]:
    """Say of each environment how each version stands there; three queries for all."""
    pks = [version.pk for version in versions]
    found: dict[int, dict[str, str]] = {pk: {} for pk in pks}
    asked = PromotionRequest.objects.filter(version__in=pks).select_related("environment").order_by("pk")
    for request in asked:
        found[request.version_id][request.environment.name] = f"promotion {request.pk} {request.get_state_display()}"
    past = EndpointRevision.objects.filter(version__in=pks).select_related("endpoint__environment").order_by("pk")
    for revision in past:
        said = f"answered from {revision.created_at:%Y-%m-%d %H:%M} UTC, not any more"
        found[revision.version_id][revision.endpoint.environment.name] = said
    live = Endpoint.objects.filter(current_revision__version__in=pks).select_related("environment", "current_revision")
    for endpoint in live:
        if endpoint.current_revision is not None:
            since = f"{endpoint.current_revision.created_at:%Y-%m-%d %H:%M} UTC"
            word = f"live since {since}" if endpoint.enabled else f"switched off, current since {since}"
            found[endpoint.current_revision.version_id][endpoint.environment.name] = word
    return [found[pk] for pk in pks]
