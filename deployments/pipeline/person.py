"""What a worker runs to find one person in the data of a project."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Q
from django.utils import timezone

from deployments.models import ModelVersion, PersonSearch
from deployments.services import persons
from experiments.models import Run
from mlportal.lib import lease, sealed
from mlportal.lib.errors import DomainError
from mlportal.lib.lease import Claim
from monitoring.models import GroundTruth, PredictionChunk
from monitoring.services import personlog as log
from monitoring.services.personlog import Hits
from projects.models import Dataset, DatasetVersion, Project
from projects.services import tables

MOST_NAMED = 1_000
PERSONAL = "personal"
Json = dict[str, Any]


class LeaseLost(Exception):
    """The work was given to another worker; nothing more may be written."""


def search_person(search_id: int, *, worker: str) -> bool:
    """Claim a queued search, look everywhere, keep what was found. Returns whether this call did the work."""
    held = lease.claim(PersonSearch.objects.all(), search_id, worker=worker)
    if held is None:
        return False
    search = PersonSearch.objects.select_related("project").get(pk=search_id)
    try:
        result = _look(held, search, sealed.unseal(search.sealed))
    except LeaseLost:
        return False
    except (DomainError, OSError, ValueError, sealed.Unreadable) as error:
        return persons.end(held, result=None, failure=error.message if isinstance(error, DomainError) else str(error))
    return persons.end(held, result=result)


def _look(held: Claim, search: PersonSearch, value: str) -> Json:
    project = search.project
    marked = {row: _personal(row) for row in Dataset.objects.filter(project=project).order_by("name_key", "pk")}
    result: Json = {
        "searched_at": timezone.now().isoformat(), "datasets": [], "unread": [],
        "unmarked": [row.name for row, columns in marked.items() if not columns],
    }  # fmt: skip
    hit = list(_datasets(held, marked, value, result))
    columns = sorted({name for names in marked.values() for name in names})
    hits = list(_chunks(held, project, columns, value, result))
    own = log.by_own_id(project, value)
    keys = sorted({key for each in [*hits, *own] for key in each.keys})
    labels = Q(prediction__in=keys[:MOST_NAMED]) | Q(external_id=value)
    result |= {
        "predictions": [_of_chunk(each) for each in [*hits, *own]], "prediction_count": len(keys),
        "prediction_ids": keys[:MOST_NAMED], "labels": GroundTruth.objects.filter(labels, project=project).count(),
        "models": _models(hit), "runs": Run.objects.filter(dataset_version__in=hit).count(),
        "erased": _erase(project, hits, own, value) if search.erase else None,
    }  # fmt: skip
    return result


def _datasets(held: Claim, marked: dict[Dataset, list[str]], value: str, result: Json) -> Iterator[int]:
    """Look through every version, also those in the trash; yields the ids of versions that tell of the person."""
    rows = DatasetVersion.objects.light().filter(dataset__in=[row for row, columns in marked.items() if columns])
    for version in rows.select_related("dataset").order_by("dataset", "number"):
        _alive(held, f"Read {version}")
        line: Json = {"dataset": version.dataset.name, "version": version.number}
        try:
            found: dict[str, int] = {}
            for path in tables.paths(version):
                for name, places in log.found(path, marked[version.dataset], value).items():
                    found[name] = found.get(name, 0) + len(places)
        except (DomainError, OSError) as error:
            why = error.message if isinstance(error, DomainError) else "its file cannot be read"
            result["unread"].append(line | {"why": why})
            continue
        if found:
            gone = version.deleted_at or version.dataset.deleted_at
            result["datasets"].append(line | {"columns": found, "in_trash": gone is not None})
            yield version.pk


def _chunks(held: Claim, project: Project, columns: list[str], value: str, result: Json) -> Iterator[Hits]:
    for chunk in PredictionChunk.objects.filter(project=project).order_by("pk").iterator(chunk_size=500):
        _alive(held, "Read the prediction log")
        try:
            found = log.look(chunk, columns, value)
        except (DomainError, OSError):
            why = "its file cannot be read"
            result["unread"].append({"endpoint": chunk.endpoint, "version": chunk.label, "why": why})
            continue
        if found is not None:
            yield found


def _of_chunk(hits: Hits) -> Json:
    chunk = hits.chunk
    return {
        "endpoint": chunk.endpoint, "version": chunk.label, "columns": hits.columns, "rows": len(hits.rows)
    }  # fmt: skip


def _models(versions: list[int]) -> list[Json]:
    rows = ModelVersion.objects.filter(dataset_version__in=versions).select_related("model", "dataset_version__dataset")
    return [
        {"model": row.model.name, "version": row.number, "learned_from": str(row.dataset_version)}
        for row in rows.order_by("model__name", "number")
    ]


def _erase(project: Project, hits: list[Hits], own: list[Hits], value: str) -> Json:
    """Blank and delete in the order in which a worker that is killed in between finds again what is left.

    What the caller named is found by its rows, so its features go first; the other rows are found by their features.
    """
    keys = sorted({key for each in [*hits, *own] for key in each.keys})
    files = sum(log.blank(each) for each in own)
    predictions, labels = log.forget(project, keys, value)
    files += sum(log.blank(each) for each in hits)
    return {"predictions": predictions, "labels": labels, "files": files}


def _personal(dataset: Dataset) -> list[str]:
    return sorted(name for name, mark in dataset.marks.items() if mark == PERSONAL)


def _alive(held: Claim, phase: str) -> None:
    if not lease.heartbeat(PersonSearch.objects.all(), held, phase=phase[:60]):
        raise LeaseLost
