"""What compared runs stored beside metrics, as it goes into one HTML file: curves, matrices, images and tables."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from experiments import charts
from experiments.models import Artifact
from experiments.queries import RunFacts, evaluations, files
from experiments.queries.compared import Comparison
from experiments.views import gallery, viewers
from experiments.views.compare_recorded import IMAGES, TABLE_ROWS, table_columns, table_names, tables_at
from experiments.views.places import Place
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError

# Bytes of all images of a file together, before they are written as text, which makes them a third longer.
IMAGE_BYTES = 8 * 2**20
MOST_TABLES = 12
Json = dict[str, Any]


def stored(made: Comparison, chosen: Sequence[RunFacts]) -> Json:
    """Evaluations, the last image of each key and the first rows of each table of the coloured runs."""
    places = {f.run.pk: Place(f.run, made.place.project.slug) for f in chosen}
    plain = files.plain_files(list(places), kinds=viewers.IMAGES, limit=IMAGES)
    paths, _ = table_names(chosen, plain)
    shown = paths[:MOST_TABLES]
    found = tables_at(chosen, shown)
    tables = [{"path": path, "columns": table_columns(chosen, places, path, found)} for path in shown]
    return {
        "evaluations": evaluations.read(made), **_images(chosen), "tables": tables, "table_rows": TABLE_ROWS,
        "tables_left": paths[MOST_TABLES:],
    }  # fmt: skip


def _images(chosen: Sequence[RunFacts]) -> Json:
    """Rows of images, a row a key; those that would make the file too large are left out and counted."""
    last = _last_of_each_key([f.run.pk for f in chosen])
    room, left, rows = IMAGE_BYTES, 0, []
    for key in sorted({key for found in last.values() for key in found}):
        columns = []
        for at, facts in enumerate(chosen):
            step, artifact = last[facts.run.pk].get(key, (0, None))
            fits = artifact is not None and artifact.size_bytes <= room
            src = _data_uri(artifact) if artifact is not None and fits else ""
            room -= artifact.size_bytes if artifact is not None and src else 0
            left += artifact is not None and not src
            columns.append({
                "run": facts.run, "k": charts.colour_of(at)[0], "step": step, "src": src,
                "is_there": artifact is not None,
            })  # fmt: skip
        rows.append({"key": key, "columns": columns})
    return {"images": rows, "images_left": left, "image_bytes": IMAGE_BYTES}


def _last_of_each_key(runs: Sequence[int]) -> dict[int, dict[str, tuple[int, Artifact]]]:
    """Step and file of the last image of each key, and of each image with a name of its own; one query."""
    held: dict[int, dict[str, Artifact]] = {run: {} for run in runs}
    rows = Artifact.objects.filter(run__in=runs, media_type__in=viewers.IMAGES).order_by("run", "path")
    for artifact in rows[:IMAGES]:
        held[artifact.run_id or 0][artifact.path] = artifact
    found: dict[int, dict[str, tuple[int, Artifact]]] = {}
    for run, files_of in held.items():
        shots = gallery.keys_of(files_of)
        found[run] = {path: (0, artifact) for path, artifact in files_of.items() if not path.startswith("images/")}
        found[run] |= {key: (of[-1].step, files_of[of[-1].small or of[-1].full]) for key, of in shots.items()}
    return found


def _data_uri(artifact: Artifact) -> str:
    try:
        content = blobs.read_bytes(artifact.sha256, limit_bytes=IMAGE_BYTES)
    except (DomainError, OSError):
        return ""
    return f"data:{artifact.media_type};base64,{base64.b64encode(content).decode()}"
