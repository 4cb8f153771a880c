"""Reads that join several tables of the deployments app."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from django.db.models import Count, Max, Q, Sum

from deployments.models import (
    Batch,
    Endpoint,
    Environment,
    ModelVersion,
    Policy,
    PromotionRequest,
    RegisteredModel,
    RetrainTrigger,
    TechnicalFile,
    Trial,
)
from experiments.queries import Registered
from monitoring.drift import shape
from monitoring.models import Bucket
from projects.models import Project
from projects.permissions import Permission
from projects.services.dataset_removal import Hold
from projects.services.datasets import Use, Uses
from projects.services.lineage import MOST as MOST_LINEAGE
from projects.services.lineage import Graph, Node
from projects.services.targets import Target

VERSIONS, HOLDS = 200, 100
OPEN = Q(versions__promotion_requests__state=PromotionRequest.State.PENDING)


def dataset_uses(version_ids: Sequence[int], *, newest: int) -> dict[int, Uses]:
    """Model versions trained on these dataset versions: how many, and the newest of them all."""
    made = ModelVersion.objects.filter(dataset_version__in=version_ids)
    found = {
        version: Uses(models=count)
        for version, count in made.order_by().values_list("dataset_version").annotate(count=Count("pk"))
    }
    for each in made.select_related("model__project").order_by("-pk")[:newest] if newest else ():
        address = f"/p/{each.model.project.slug}/models/{quote(each.model.name, safe='')}/v/{each.number}/"
        found[each.dataset_version_id] += Uses(newest=(Use("model", str(each), address),))
    return found


def dataset_holds(version_ids: Sequence[int]) -> list[Hold]:
    """Model versions that an environment runs, or is asked to run, that learned from these, and open scorings."""
    live = Endpoint.objects.filter(current_revision__version__dataset_version__in=version_ids)
    found = [
        Hold(
            each.current_revision.version.dataset_version_id or 0,
            f"taught {each.current_revision.version}, which {each.name} serves in {each.environment.name}",
            f"/p/{each.project.slug}/deployments/{quote(each.name, safe='')}/",
        )
        for each in live.select_related("project", "environment", "current_revision__version__model")[:HOLDS]
        if each.current_revision is not None
    ]
    asked = PromotionRequest.objects.filter(
        version__dataset_version__in=version_ids, state=PromotionRequest.State.PENDING
    )
    found += [
        Hold(each.dataset_version_id, f"is being scored by {each}", f"/p/{each.project.slug}/batches/{each.pk}/")
        for each in Batch.objects.open().filter(dataset_version__in=version_ids).select_related("project")[:HOLDS]
    ]
    return found + [
        Hold(
            each.version.dataset_version_id or 0,
            f"taught {each.version}, which promotion {each.pk} asks for",
            f"/p/{each.project.slug}/promotions/{each.pk}/",
        )
        for each in asked.select_related("project", "version__model")[:HOLDS]
    ]


def dataset_lineage(version_id: int, key: str, graph: Graph) -> None:
    """Add models that learned from a dataset version, what serves them, and the scoring it is the result of."""
    made = ModelVersion.objects.filter(dataset_version=version_id)
    for each in made.select_related("model__project").order_by("-pk")[:MOST_LINEAGE]:
        address = f"/p/{each.model.project.slug}/models/{quote(each.model.name, safe='')}/v/{each.number}/"
        run = f"run:{each.run_id}"
        graph.add(Node(f"model:{each.pk}", "model", str(each), address), after=run if run in graph.nodes else key)
    graph.counts["model"] = made.count()
    live = Endpoint.objects.filter(current_revision__version__dataset_version=version_id)
    for serving in live.select_related("project", "environment", "current_revision").order_by("pk")[:MOST_LINEAGE]:
        address = f"/p/{serving.project.slug}/deployments/{quote(serving.name, safe='')}/"
        assert serving.current_revision is not None
        model = f"model:{serving.current_revision.version_id}"
        node = Node(f"endpoint:{serving.pk}", "endpoint", serving.name, address, serving.environment.name)
        graph.add(node, after=model if model in graph.nodes else key)
    scored = Batch.objects.filter(output=version_id).select_related("project").order_by("-pk").first()
    if scored is not None and "source:0" in graph.nodes:
        page = f"/p/{scored.project.slug}/batches/{scored.pk}/"
        graph.nodes["source:0"] = replace(graph.nodes["source:0"], url=page)


def registered_from(*, runs: Sequence[int], logged_models: Sequence[int]) -> list[Registered]:
    """Return the versions that were registered from these runs and logged models, newest first; one query."""
    made = ModelVersion.objects.filter(Q(run__in=runs) | Q(logged_model__in=logged_models))
    return [
        Registered(
            each.run_id, each.logged_model_id, str(each),
            f"/p/{each.model.project.slug}/models/{quote(each.model.name, safe='')}/v/{each.number}/",
        )
        for each in made.select_related("model__project").only(
            "run", "logged_model", "number", "model__name", "model__project__slug"
        ).order_by("-pk")[:VERSIONS]
    ]  # fmt: skip


def runs_held(project: Project, run_ids: Sequence[int] | None) -> dict[int, str]:
    """Return the runs that a model version or a retraining needs, of those given or of all, with the reason."""
    versions = ModelVersion.objects.filter(model__project=project).order_by("pk").select_related("model")
    triggers = RetrainTrigger.objects.filter(automation__project=project, run__isnull=False)
    if run_ids is not None:
        versions = versions.filter(Q(run__in=run_ids) | Q(logged_model__source_run__in=run_ids))
        triggers = triggers.filter(run__in=run_ids)
    found = dict.fromkeys(triggers.values_list("run", flat=True), "used by a retraining")
    for run, made_by, model, number in versions.values_list("run", "logged_model__source_run", "model__name", "number"):
        found |= {held: f"used by {model} v{number}" for held in (run, made_by) if held is not None}
    return found


def run_uses(*, run: int) -> list[tuple[str, str, str]]:
    """Return (kind, name, address) of the endpoints that a model of this run answers at now; one query."""
    made = Q(current_revision__version__run=run) | Q(current_revision__version__logged_model__source_run=run)
    live = Endpoint.objects.filter(made, enabled=True).select_related("project").order_by("name")[:VERSIONS]
    return [
        ("endpoint", each.name, f"/p/{each.project.slug}/deployments/{quote(each.name, safe='')}/") for each in live
    ]


@dataclass(frozen=True)
class ModelLine:
    """One line of the models list."""

    model: RegisteredModel
    newest: ModelVersion | None
    versions: int
    endpoints: list[Endpoint]
    waiting: int


def model_lines(models: Sequence[RegisteredModel]) -> list[ModelLine]:
    """Join models with their newest version, where they answer and how many requests wait: three queries in all."""
    ids = [model.pk for model in models]
    counted = RegisteredModel.objects.filter(pk__in=ids).annotate(
        count=Count("versions", distinct=True),
        last=Max("versions"),
        waiting=Count("versions__promotion_requests", filter=OPEN, distinct=True),
    )
    facts = {row.pk: row for row in counted}
    newest = ModelVersion.objects.select_related("created_by", "run").in_bulk(
        [row.last for row in facts.values() if row.last]
    )
    live: dict[int, list[Endpoint]] = {}
    for endpoint in Endpoint.objects.with_live().filter(model__in=ids).order_by("environment__position"):
        live.setdefault(endpoint.model_id, []).append(endpoint)
    return [
        ModelLine(
            model,
            newest.get(facts[model.pk].last),
            facts[model.pk].count,
            live.get(model.pk, []),
            facts[model.pk].waiting,
        )
        for model in models
    ]


@dataclass(frozen=True)
class VersionLine:
    """One line of a model's versions: the version, its metrics, where it is live and the state of its last request."""

    version: ModelVersion
    values: list[float | None]
    live: list[Endpoint]
    request: PromotionRequest | None


def version_lines(versions: Sequence[ModelVersion], metrics: Sequence[str]) -> list[VersionLine]:
    """Join versions with where they are live and their last request: two queries in all."""
    ids = [version.pk for version in versions]
    live: dict[int, list[Endpoint]] = {}
    for endpoint in Endpoint.objects.with_live().filter(current_revision__version__in=ids):
        live.setdefault(endpoint.current_revision.version_id, []).append(endpoint)  # type: ignore[union-attr]
    last = {row.version_id: row for row in PromotionRequest.objects.filter(version__in=ids).order_by("pk")}
    return [
        VersionLine(item, [item.metrics.get(key) for key in metrics], live.get(item.pk, []), last.get(item.pk))
        for item in versions
    ]


@dataclass(frozen=True)
class Traffic:
    """Requests of one version on one endpoint over some hours."""

    version: str
    requests: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None
    hourly: list[int]

    @property
    def error_share(self) -> float:
        """Share of requests that failed, 0 to 1."""
        return self.errors / self.requests if self.requests else 0.0


def traffic(project: Project, endpoint: str, *, since: datetime) -> list[Traffic]:
    """Return what each version was asked since a moment, the live one first: one query."""
    rows = Bucket.objects.filter(
        monitor__project=project, monitor__endpoint=endpoint, column="__traffic__", hour__gte=since
    ).select_related("monitor")
    grouped: dict[int, list[Bucket]] = {}
    for row in rows.order_by("-monitor_id", "hour"):
        grouped.setdefault(row.monitor_id, []).append(row)
    return [_traffic(buckets) for buckets in grouped.values()]


def request_counts(project: Project, *, since: datetime) -> dict[str, int]:
    """Return requests per endpoint since a moment: one query."""
    rows = Bucket.objects.filter(monitor__project=project, column="__traffic__", hour__gte=since)
    totals: dict[str, int] = {}
    for name, count in rows.order_by().values_list("monitor__endpoint").annotate(total=Sum("rows")):
        totals[name] = count or 0
    return totals


def _traffic(buckets: list[Bucket]) -> Traffic:
    whole = shape.merge([bucket.counts for bucket in buckets])
    answered, errors = shape.filled(whole), int(whole.get("nulls", 0))
    hourly: dict[datetime, int] = {}
    for bucket in buckets:
        hour = bucket.hour.replace(minute=0, second=0, microsecond=0)
        hourly[hour] = hourly.get(hour, 0) + bucket.rows
    return Traffic(
        buckets[0].monitor.version, answered + errors, errors, _ms(whole, 0.5), _ms(whole, 0.99), list(hourly.values())
    )


def _ms(counts: shape.Counts, share: float) -> float | None:
    found = shape.latency_us(counts, share)
    return None if found is None else found / 1000


def model_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Models as things that carry stars and comments."""
    for row in RegisteredModel.objects.filter(pk__in=numbers).select_related("project"):
        href = f"/p/{row.project.slug}/models/{quote(row.name, safe='')}/"
        yield Target("model", row, row.project_id, row.name, href, Permission.MODEL_VIEW)


def version_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Versions of models as things that carry stars and comments."""
    for row in ModelVersion.objects.filter(pk__in=numbers).select_related("model__project"):
        model = row.model
        href = f"/p/{model.project.slug}/models/{quote(model.name, safe='')}/v/{row.number}/"
        yield Target("version", row, model.project_id, str(row), href, Permission.MODEL_VIEW)


def endpoint_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Endpoints as things that carry stars and comments."""
    for row in Endpoint.objects.filter(pk__in=numbers).select_related("project"):
        href = f"/p/{row.project.slug}/deployments/{quote(row.name, safe='')}/"
        yield Target("endpoint", row, row.project_id, row.name, href, Permission.ENDPOINT_VIEW)


def environment_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Environments as things that carry stars and comments; they share one page."""
    for row in Environment.objects.filter(pk__in=numbers).select_related("project"):
        href = f"/p/{row.project.slug}/settings/environments/"
        yield Target("environment", row, row.project_id, row.name, href, Permission.MODEL_VIEW, apart=True)


def policy_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Versions of promotion rules as things that carry stars and comments."""
    for row in Policy.objects.filter(pk__in=numbers).select_related("environment__project"):
        place = row.environment
        href = f"/p/{place.project.slug}/settings/policies/{quote(place.name, safe='')}/{row.number}/"
        yield Target("policy", row, place.project_id, str(row), href, Permission.MODEL_VIEW)


def trial_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Trials as things that carry stars and comments."""
    for row in Trial.objects.filter(pk__in=numbers).select_related("endpoint__project"):
        place = row.endpoint
        href = f"/p/{place.project.slug}/deployments/{quote(place.name, safe='')}/trials/{row.pk}/"
        yield Target("trial", row, place.project_id, row.name, href, Permission.ENDPOINT_VIEW)


def running_trial(project: Project, endpoint: str) -> tuple[str, str] | None:
    """Say what the trial that runs on an endpoint asks, and where its answer will stand; None without one."""
    rows = Trial.objects.with_subject().in_project(project)
    found = rows.filter(endpoint__name=endpoint, state=Trial.State.RUNNING).first()
    if found is None or found.control is None:
        return None
    (target,) = trial_targets([found.pk])
    metric = found.get_metric_display().removesuffix(" (ground truth)")
    return f"{found.name}: {found.version.label} against {found.control.label}, {metric}", target.href


def technical_file_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Issued technical files as things that carry stars and comments."""
    rows = TechnicalFile.objects.filter(pk__in=numbers).select_related("model__project", "version__model")
    for row in rows.defer("document"):
        model = row.model
        href = f"/p/{model.project.slug}/models/{quote(model.name, safe='')}/technical-files/{row.number}/"
        yield Target("technical_file", row, model.project_id, str(row), href, Permission.MODEL_VIEW)


def batch_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Batch scorings as things that carry stars and comments."""
    for row in Batch.objects.filter(pk__in=numbers).select_related("project").defer("errors", "distribution"):
        href = f"/p/{row.project.slug}/batches/{row.pk}/"
        yield Target("batch", row, row.project_id, f"{row}, {row.name}", href, Permission.MODEL_VIEW)


def promotion_targets(numbers: Sequence[int]) -> Iterable[Target]:
    """Promotion requests as things that carry stars and comments."""
    rows = PromotionRequest.objects.filter(pk__in=numbers).select_related("project", "version__model")
    for row in rows:
        href = f"/p/{row.project.slug}/promotions/{row.pk}/"
        yield Target("promotion", row, row.project_id, str(row), href, Permission.MODEL_VIEW)
