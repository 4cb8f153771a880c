"""What compared runs recorded beside metrics, side by side: images, tables, datasets, models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from experiments import charts
from experiments.models import Artifact
from experiments.queries import RunFacts, files
from experiments.views import gallery, viewers
from experiments.views.places import Place
from experiments.views.run_page import small_table, table_paths
from projects.models import Project

IMAGES = 8000
TABLE_ROWS = 20
Json = dict[str, Any]
Plain = tuple[int, str, datetime]  # run, path, when


def recorded(chosen: Sequence[RunFacts], project: Project, asked: Mapping[str, str]) -> Json:
    """Images of one key and one table of each run, as the address asks, else what most runs have."""
    places = {f.run.pk: Place(f.run, project.slug) for f in chosen}
    plain = files.plain_files(list(places), kinds=viewers.IMAGES, limit=IMAGES)
    images = _images(chosen, places, asked.get("img", ""), plain)
    return {**images, **_tables(chosen, places, asked.get("table", ""), plain)}


def _most_common(names: Sequence[str]) -> str:
    found = Counter(names).most_common(1)
    return found[0][0] if found else ""


def _images(chosen: Sequence[RunFacts], places: Mapping[int, Place], asked: str, plain: Sequence[Plain]) -> Json:
    paths: dict[int, list[str]] = {f.run.pk: [] for f in chosen}
    for run, path in files.image_paths(list(paths), limit=IMAGES):
        paths[run].append(path)
    keys = {run: gallery.keys_of(found) for run, found in paths.items()}
    for run, path, at in plain:
        if not path.endswith(".csv"):
            keys[run].setdefault(path, [gallery.Shot(0, int(at.timestamp() * 1000), full=path)])
    every = sorted({key for found in keys.values() for key in found})
    key = asked if asked in every else _most_common([key for found in keys.values() for key in found])
    columns = [_image_column(f, keys[f.run.pk].get(key, []), places[f.run.pk], key, at) for at, f in enumerate(chosen)]
    return {"image_key": key, "image_keys": every, "image_columns": columns if key else []}


def _image_column(facts: RunFacts, shots: list[gallery.Shot], place: Place, key: str, at: int) -> Json:
    colour, _ = charts.colour_of(at)
    column: Json = {"run": facts.run, "k": colour, "key": key, "id": f"cmp-img-{at}", "steps": []}
    if shots:
        steps = [gallery.frame(s, place.image, place.show) for s in gallery.thinned(shots, gallery.MOST_STEPS)]
        column |= {"steps": steps, "last": steps[-1], "final": len(steps) - 1, "total": len(shots)}
    return column


def _tables(chosen: Sequence[RunFacts], places: Mapping[int, Place], asked: str, plain: Sequence[Plain]) -> Json:
    every, usual = table_names(chosen, plain)
    path = asked if asked in every else usual
    columns = table_columns(chosen, places, path, tables_at(chosen, [path])) if path else []
    return {"table_path": path, "table_paths": every, "table_columns": columns}


def table_names(chosen: Sequence[RunFacts], plain: Sequence[Plain]) -> tuple[list[str], str]:
    """Paths of the tables these runs have, and the one that most of them have."""
    named = {f.run.pk: table_paths(f.tags) for f in chosen}
    for run, path, _ in plain:
        if path.endswith(".csv") and path not in named[run]:
            named[run].append(path)
    found = [path for paths in named.values() for path in paths]
    return sorted(set(found)), _most_common(found)


def tables_at(chosen: Sequence[RunFacts], paths: Sequence[str]) -> dict[tuple[int, str], Artifact]:
    """The files of these runs at these paths; one query."""
    rows = Artifact.objects.filter(run__in=[f.run.pk for f in chosen], path__in=paths)
    return {(a.run_id or 0, a.path): a for a in rows}


def table_columns(
    chosen: Sequence[RunFacts], places: Mapping[int, Place], path: str, found: Mapping[tuple[int, str], Artifact]
) -> list[Json]:
    """The first rows of one table of each run."""
    columns = []
    for at, facts in enumerate(chosen):
        artifact, place = found.get((facts.run.pk, path)), places[facts.run.pk]
        table = small_table(artifact, place, TABLE_ROWS) if artifact is not None else None
        columns.append({
            "run": facts.run, "k": charts.colour_of(at)[0], "artifact": artifact, "table": table,
            "url": place.show(path),
        })  # fmt: skip
    return columns
