"""What the blocks of a report show now: the same questions the compare page asks."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import Q

from experiments import charts
from experiments.models import Experiment, ImportanceStudy, Report
from mlportal.lib.errors import Conflict, Missing
from mlportal.lib.lease import WorkState
from projects.actor import Actor
from projects.models import Project

from . import compared, difference_table, evaluations, panels
from . import metrics as named
from .compared import Comparison, View
from .places import Place, experiment_of, run_set

MOST_LISTED = 100
LISTED_METRICS = 4
LISTED_PARAMS = 6
# Kinds of charts a block may show, with the words for them.
CHARTS = {
    "curves": "Metric curves", "parallel": "Parallel coordinates", "scatter": "Scatter", "boxes": "Spread by parameter",
    "contour": "Contour", "importance": "Parameter importance", "roc": "ROC",
    "precision_recall": "Precision and recall", "calibration": "Calibration",
}  # fmt: skip
GONE = "The experiment or folder of this block is gone."
NO_STUDY = "No study is chosen for this block. Edit the report and choose one."
STUDIES = 100
NOTHING = "These runs do not have the values for it."
Json = dict[str, Any]


def resolve(by: Actor, project: Project, block: Json) -> Json:
    """What one block shows: its own values and the answer to its question.

    Returns
    -------
    dict
        The block with ``data`` for charts, tables and run sets, or ``problem``: why there is none.
    """
    if block["kind"] == "text":
        return dict(block)
    view = View.of_text(block["state"])
    place = _place(by, project, block["experiment"], view)
    if place is None:
        return {**block, "problem": GONE}
    made = compared.compare(by, place, view)
    if made.fault is not None:
        return {**block, "problem": made.fault.message}
    makers = {"chart": _chart, "table": _table, "runs": _runs, "matrices": _matrices}
    data = makers[block["kind"]](made, block)
    found = {**block, "experiment_name": place.name, "compared": len(made.compared), "colours": _legend(made)}
    found["run_ids"] = made.compared
    problem = NO_STUDY if block.get("chart") == "importance" else NOTHING
    return {**found, "data": data} if data else {**found, "problem": problem}


def _place(by: Actor, project: Project, number: int | None, view: View) -> Place | None:
    """The experiment of a block, or the project's or a folder's when it names none; None when that is gone."""
    if number is not None:
        visible = Experiment.objects.visible_to(by).in_project(project).active()
        return visible.filter(pk=number).select_related("project").first()
    try:
        return run_set(by, project, view.folder)
    except Missing:
        return None


def _legend(made: Comparison) -> list[Json]:
    return [made.drawn(made.dots[pk]) for pk in made.coloured]


def _chart(made: Comparison, block: Json) -> Json | None:
    kind = block["chart"]
    if kind == "curves":
        names = [block["metric"]] if block.get("metric") else panels.curve_names(made)[:1]
        return {**panels.series(made, names), "metric": names[0]} if names else None
    if kind == "importance":
        return _importance(made, block.get("study"))
    if kind in evaluations.CURVES:
        found: Json | None = evaluations.read(made)["curves"].get(kind)
        return found
    drawn: Json | None = panels.facts(made)[kind]
    return drawn


def studies_of(project: Project, experiment_ids: Sequence[int | None]) -> dict[int | None, list[ImportanceStudy]]:
    """Return the finished studies of experiments, None for those over several, the newest 100 first; one query."""
    asked = Q(experiment__in=[pk for pk in experiment_ids if pk is not None])
    if None in experiment_ids:
        asked |= Q(experiment=None)
    done = ImportanceStudy.objects.in_project(project).filter(asked, state=WorkState.SUCCEEDED)
    found: dict[int | None, list[ImportanceStudy]] = defaultdict(list)
    for study in done.exclude(result=None).defer("run_ids").order_by("-pk")[:STUDIES]:
        found[study.experiment_id].append(study)
    return found


def study_label(study: ImportanceStudy) -> str:
    """A study for people: its metric, its runs, when it was asked for."""
    count = (study.result or {}).get("runs", 0)
    return (
        f"{named.label_of(study.metric)} over {count:,} runs, {study.created_at:%Y-%m-%d %H:%M} UTC, number {study.pk}"
    )


def _importance(made: Comparison, number: int | None) -> Json | None:
    """The study that was chosen: a report shows what was computed, never silently another one."""
    if number is None:
        return None
    known = ImportanceStudy.objects.in_project(made.place.project).filter(experiment=experiment_of(made.place))
    study = known.filter(pk=number, state=WorkState.SUCCEEDED).first()
    if study is None or not study.result:
        return None
    lines = [{"feature": p["name"], "mean": p["mean"], "std": p["std"]} for p in study.result["params"][:20]]
    words = f"Importance for {study_label(study)}; out-of-bag score {study.result['oob']:.2f}."
    label = f"{words} It says what predicts the metric, not what causes it."
    return {**charts.importance(lines), "xt": "Loss of R2 when shuffled", "label": label, "study": study_label(study)}


def _table(made: Comparison, _block: Json) -> Json | None:
    found = difference_table.table(made)
    if not found.heads:
        return None
    colours = made.colours
    heads = [{"id": f.run.pk, "name": f.run.name, "k": colours.get(f.run.pk, (0, 0))[0]} for f in found.heads]
    rows = found.first(found.shown(made.view))
    return {"heads": heads, "rows": found.drawn(rows), "runs": found.runs}


def _runs(made: Comparison, _block: Json) -> Json | None:
    metrics, params = made.metrics[:LISTED_METRICS], made.varying[:LISTED_PARAMS]
    if not made.compared:
        return None
    made.load(metrics)
    rows = [
        {"id": d.id, "name": d.name, "state": d.state, "metrics": [d.metrics.get(m) for m in metrics],
         "params": [d.params.get(p) for p in params]}
        for d in (made.dots[pk] for pk in made.compared[:MOST_LISTED])
    ]  # fmt: skip
    heads = [f"{named.label_of(m)} {named.arrow_of(m)}".strip() for m in metrics]
    return {"metrics": heads, "params": params, "rows": rows, "total": max(made.total, len(made.compared))}


def _matrices(made: Comparison, _block: Json) -> Json | None:
    found = evaluations.read(made)["matrices"]
    return {"matrices": found} if found else None


def shown(by: Actor, report: Report) -> list[Json]:
    """All blocks as they are now, or as they were when the report was frozen.

    Raises
    ------
    Conflict
        If what was frozen no longer has its digest.
    """
    if not report.is_frozen:
        return [resolve(by, report.project, block) for block in report.blocks]
    if digest(report.frozen) != report.frozen_digest:
        raise Conflict("What was frozen does not have its digest: the row was changed outside the portal.")
    found: list[Json] = json.loads(report.frozen)
    return found


def one(by: Actor, report: Report, block_id: str) -> Json | None:
    """One block as the page shows it."""
    if report.is_frozen:
        return next((b for b in shown(by, report) if b["id"] == block_id), None)
    block = next((b for b in report.blocks if b["id"] == block_id), None)
    return None if block is None else resolve(by, report.project, block)


def canonical(blocks: list[Json]) -> str:
    """One text for one content."""
    return json.dumps(blocks, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)


def digest(text: str) -> str:
    """Sha256 of what was frozen."""
    return hashlib.sha256(text.encode()).hexdigest()
