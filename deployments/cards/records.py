"""Everything the papers of a version read, loaded once in a fixed number of queries."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

from django.db.models import Q, QuerySet

from deployments.models import (
    Endpoint,
    EndpointInterval,
    Evaluation,
    GateResult,
    ModelVersion,
    PromotionRequest,
    Reproduction,
    ThresholdChoice,
)
from deployments.proof import measured, told, veil
from deployments.proof.papers import Source
from experiments.models import TrainingJob
from mlportal.lib.lease import WorkState
from monitoring.models import AlertRule
from projects.models import CheckRun

MOST = 50
MOST_AGAIN = 5  # certificates of reproduction


@dataclass
class Records:
    """A version with all that is known of it."""

    version: ModelVersion
    evaluation: Evaluation | None
    job: TrainingJob | None
    checks: CheckRun | None
    requests: list[PromotionRequest]
    intervals: list[EndpointInterval]
    endpoints: list[Endpoint]
    rules: list[AlertRule]
    siblings: list[ModelVersion]
    verdicts: list[GateResult]
    reproductions: list[Reproduction]
    threshold: ThresholdChoice | None
    hidden: Collection[str] = ()  # columns whose values may not be told
    base: str = field(init=False)

    def __post_init__(self) -> None:
        """Know where the pages of the project are."""
        self.base = f"/p/{self.version.model.project.slug}"

    @cached_property
    def result(self) -> dict[str, Any]:
        """What the newest evaluation found, empty without one; groups of hidden columns without names."""
        return veil.result((self.evaluation.result if self.evaluation else None) or {}, self.hidden)

    @property
    def of_version(self) -> Source:
        """The version as a source; its files and facts never change."""
        return Source(str(self.version), self.page, stamp(self.version.created_at))

    @property
    def of_words(self) -> Source:
        """The version's texts as a source."""
        return Source(str(self.version), self.page, stamp(self.version.updated_at))

    @property
    def of_model(self) -> Source:
        """The model as a source."""
        model = self.version.model
        return Source(f"Model {model.name}", self.model_page, stamp(model.updated_at))

    @property
    def of_run(self) -> Source:
        """The training run as a source."""
        run = self.version.run
        if run is None:
            return Source("Run of the client")
        return Source(f"Run {run.pk}", f"{self.base}/runs/{run.pk}/", stamp(run.ended_at or run.created_at))

    @property
    def of_data(self) -> Source:
        """The version of the dataset as a source."""
        data = self.version.dataset_version
        if data is None:
            return Source("Dataset")
        href = f"{self.base}/datasets/{quote(data.dataset.name, safe='')}/v/{data.number}/"
        return Source(str(data), href, stamp(data.created_at))

    @property
    def of_evaluation(self) -> Source:
        """The newest evaluation as a source."""
        work = self.evaluation
        if work is None:
            return Source("Evaluation")
        href = f"{self.base}/promotions/{work.request_id}/"
        return Source(f"Promotion {work.request_id}", href, stamp(work.ended_at))

    @property
    def of_threshold(self) -> Source:
        """The kept threshold as a source."""
        row = self.threshold
        if row is None:
            return self.of_evaluation
        href = f"{self.base}/promotions/{row.request_id}/#cost"
        return Source(f"Promotion {row.request_id}", href, stamp(row.chosen_at))

    @property
    def of_requests(self) -> Source:
        """The promotions of the version as a source."""
        moments = [row.decided_at or row.requested_at for row in self.requests]
        return Source("Promotions", f"{self.base}/promotions/", stamp(max(moments, default=None)))

    @property
    def of_rules(self) -> Source:
        """The alert rules as a source."""
        newest = max((rule.updated_at for rule in self.rules), default=None)
        return Source("Alert rules", f"{self.base}/monitoring/rules/", stamp(newest))

    @property
    def model_page(self) -> str:
        """Address of the model."""
        return f"{self.base}/models/{quote(self.version.model.name, safe='')}/"

    @property
    def page(self) -> str:
        """Address of the version."""
        return f"{self.model_page}v/{self.version.number}/"


def stamp(moment: datetime | None) -> str:
    """Write a moment as ISO 8601, empty for none."""
    return moment.isoformat() if moment else ""


def newest_request(rows: QuerySet[GateResult]) -> list[GateResult]:
    """Keep the verdicts of the newest request among them."""
    found = list(rows.order_by("-request", "position")[:MOST])
    return [row for row in found if row.request_id == found[0].request_id]


def told_of(facts: Records) -> list[GateResult]:
    """Return the verdicts without values of hidden columns; those of another evaluation without what was found."""
    asked = next((row for row in facts.requests if facts.verdicts and row.pk == facts.verdicts[0].request_id), None)
    if not facts.hidden or asked is None:
        return facts.verdicts
    work = facts.evaluation if facts.evaluation and facts.evaluation.request_id == asked.pk else None
    result = (work.result if work else None) or {}
    run, data = facts.version.run, facts.version.dataset_version
    found = told.Evidence(
        result, str(result.get("note", "")), measured.primary(run.primary_metric if run else "", facts.version.task),
        str(data.state) if data else None, told.remarks(data.warnings if data else None),
    )  # fmt: skip
    said = told.verdicts(asked.policy.gates, found, facts.hidden)
    return [row.told_as(said[row.name], otherwise=told.UNTOLD) if row.name in said else row for row in facts.verdicts]


def load(version: ModelVersion, *, hidden: Collection[str] = ()) -> Records:
    """Read the records of a version, in as many queries whatever there is of them.

    Parameters
    ----------
    hidden
        Columns of its data whose values the reader may not see.
    """
    joined = ModelVersion.objects.select_related(
        "model__project", "model__owner", "run__experiment", "dataset_version__dataset", "created_by"
    ).get(pk=version.pk)  # fmt: skip
    evaluated = Evaluation.objects.filter(request__version=version, state=WorkState.SUCCEEDED)
    requests = PromotionRequest.objects.filter(version=version).select_related("environment", "policy")
    intervals = EndpointInterval.objects.filter(revision__version=version).select_related("endpoint__environment")
    endpoints = Endpoint.objects.filter(model=version.model_id).select_related("environment").order_by("name")
    found = list(endpoints[:MOST])
    names = [row.name for row in found]
    checks = CheckRun.objects.filter(version=version.dataset_version_id, state=WorkState.SUCCEEDED)
    verdicts = GateResult.objects.filter(request__version=version, phase=GateResult.Phase.REQUEST)
    siblings = ModelVersion.objects.filter(model=version.model_id, number__lte=version.number)
    return Records(
        version=joined,
        evaluation=evaluated.order_by("-ended_at", "-pk").first(),
        job=TrainingJob.objects.filter(run=version.run_id).first() if version.run_id else None,
        checks=checks.order_by("-pk").first() if version.dataset_version_id else None,
        requests=list(requests.prefetch_related("decisions").order_by("pk")[:MOST]),
        intervals=list(intervals.order_by("valid_from")[:MOST]),
        endpoints=found,
        rules=list(
            AlertRule.objects.filter(Q(endpoint="") | Q(endpoint__in=names), project=joined.model.project, enabled=True)
            .order_by("name")[:MOST]
        ),
        siblings=list(
            siblings.select_related("dataset_version__dataset")
            .defer("reference_grids", "importance", "manifest", "dataset_version__profile")
            .order_by("-number")[:MOST]
        ),
        verdicts=newest_request(verdicts),
        reproductions=list(
            Reproduction.objects.filter(version=version).exclude(verdict="").order_by("-ended_at", "-pk")[:MOST_AGAIN]
        ),
        threshold=ThresholdChoice.objects.filter(request__version=version).first(),
        hidden=hidden,
    )  # fmt: skip
