"""Moving runs to another experiment: their numbers, ids, files and history stay."""

from __future__ import annotations

from collections.abc import Sequence

from experiments import metricstore
from experiments.models import FormerPlace, InputDataset, LoggedModel, Run, RunInput


def move(run_ids: Sequence[int], experiment_id: int) -> None:
    """Let locked runs of one project belong to another of its experiments; call inside the writing transaction."""
    if not run_ids:
        return
    runs = Run.objects.filter(pk__in=run_ids)
    left = [FormerPlace(run_id=pk, place_id=place) for pk, place in runs.values_list("pk", "experiment")]
    FormerPlace.objects.bulk_create(left, ignore_conflicts=True)
    runs.update(experiment=experiment_id)
    metricstore.move_many(run_ids, experiment_id)
    LoggedModel.objects.filter(source_run__in=run_ids).update(experiment=experiment_id)
    _move_inputs(run_ids, experiment_id)


def _move_inputs(run_ids: Sequence[int], experiment_id: int) -> None:
    """Datasets that clients described belong to an experiment: the runs read the same ones of the new one."""
    rows = RunInput.objects.filter(run__in=run_ids).exclude(dataset__experiment=experiment_id)
    for dataset in InputDataset.objects.filter(pk__in=rows.values("dataset").distinct()).order_by("pk"):
        facts = {name: getattr(dataset, name) for name in ("source_type", "source", "schema", "profile")}
        same, _ = InputDataset.objects.get_or_create(
            experiment_id=experiment_id, name=dataset.name, digest=dataset.digest, defaults=facts
        )
        RunInput.objects.filter(run__in=run_ids, dataset=dataset).update(dataset=same)
