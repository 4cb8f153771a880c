"""What ``neptune-exporter`` wrote: Parquet files of one row a value, and a folder of files.

Format: https://github.com/neptune-ai/neptune-exporter (README, "Data layout on disk"). Everything of Neptune that
MLflow has no word for (series of texts, histograms) becomes a file of JSON lines.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from mlportal.cli.errors import CANNOT_START, MISSING, Failure
from mlportal.cli.importing.names import Names, clean_key
from mlportal.cli.importing.things import (
    FAILED,
    FINISHED,
    Experiment,
    File,
    Links,
    Model,
    Point,
    Registered,
    Run,
    Trouble,
    Version,
    is_safe,
)

PART = re.compile(r"(.+)_part_(\d+)\.parquet")
VALUES = {
    "float": "float_value",
    "int": "int_value",
    "string": "string_value",
    "bool": "bool_value",
    "datetime": "datetime_value",
    "string_set": "string_set_value",
}
TEXTS = {"string_series": "string_value", "histogram_series": "histogram_value"}
NEEDED = {
    "project_id",
    "run_id",
    "attribute_path",
    "attribute_type",
    "step",
    "timestamp",
    *VALUES.values(),
    "file_value",
}
FIRST = [name for name in (*NEEDED,) if name != "timestamp"]
MAX_VALUE = 6000
ROWS = 10_000


@dataclass
class Found:
    """What is known of a run after one reading of its rows without its series."""

    parts: list[Path]
    run: str = ""
    project: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)  # path of the file -> attribute it is made of
    rows: int = 0


class Neptune:
    """The source of ``mlportal import neptune``.

    Parameters
    ----------
    folder
        The exporter's data folder, or the one that holds ``data`` and ``files``.
    files
        The exporter's files folder; empty for the one beside the data.
    multiplier
        Decimal steps times this are the steps here.
    """

    def __init__(self, folder: Path, *, files: str = "", multiplier: int = 1) -> None:
        if (folder / "data").is_dir():
            folder = folder / "data"
        self.name = str(folder.resolve())
        self.notes: list[str] = []
        self._files = Path(files) if files else folder.parent / "files"
        self._multiplier = multiplier
        self._arrow = _parquet()
        self._runs: dict[str, Found] = {}
        self._projects: dict[str, list[list[Path]]] = defaultdict(list)
        for parts in _parts(folder):
            self._projects[self._project(parts[0])].append(parts)
        if not self._projects:
            raise Failure(f"there are no files like RUN_part_0.parquet in the folders of {folder}", MISSING)

    def experiments(self) -> list[Experiment]:
        """Return the projects."""
        return [Experiment(name, name) for name in sorted(self._projects)]

    def pages(self, experiment: Experiment) -> Iterator[list[Run]]:
        """Yield the runs of a project."""
        for parts in self._projects[experiment.id]:
            found = self._read(parts)
            run = _run(found)
            self._runs = {run.root: found}  # only the one that is being copied: there may be many
            yield [run]

    def links(self, _run: Run) -> Links:
        """Return nothing: Neptune has no such thing."""
        return Links()

    def points(self, run: Run) -> Iterator[list[Point]]:
        """Yield all series of numbers."""
        names = Names()
        for batch in self._rows(run.root, "float_series", "float_value"):
            yield [
                (names.of(row["attribute_path"]), row["float_value"], _ms(row["timestamp"], run.start), step)
                for row in batch
                if row["float_value"] is not None and (step := self._step(row["step"])) is not None
            ]

    def files(self, root: str) -> list[File]:
        """List files, and the ones that are made of series."""
        found = self._runs[root]
        return [
            *(File(path, place.stat().st_size) for path, place in found.files.items()),
            *(File(path, None) for path in found.texts),
        ]

    @contextlib.contextmanager
    def fetched(self, root: str, file: File) -> Iterator[Path]:
        """Give a file; one of a series is written for the time of the context."""
        found = self._runs[root]
        if file.path in found.files:
            yield found.files[file.path]
            return
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as stream:
            self._write(root, found.texts[file.path], stream)
            stream.flush()
            yield Path(stream.name)

    def models(self, _experiment: Experiment) -> Iterable[Model]:
        """Return nothing: models of Neptune 2 are exported apart and have no files that can be served."""
        return []

    def registered(self) -> Iterable[tuple[Registered, list[Version]]]:
        """Return nothing."""
        return []

    def close(self) -> None:
        """Nothing is held."""

    def _project(self, part: Path) -> str:
        """Return the real name of a project; that of its folder was changed to suit file systems."""
        try:
            file = self._arrow.ParquetFile(part)
            if missing := NEEDED - set(file.schema_arrow.names):
                raise Failure(f"{part} is no file of neptune-exporter: it has no {', '.join(sorted(missing))}")
            first = next(file.iter_batches(1, columns=["project_id"]), None)
        except (OSError, ValueError) as problem:
            raise Failure(f"{part} cannot be read: {problem}") from None
        name = first.to_pylist()[0]["project_id"] if first is not None and first.num_rows else None
        return str(name or part.parent.name)

    def _read(self, parts: list[Path]) -> Found:
        found = Found(parts)
        for part in parts:
            for batch in self._arrow.ParquetFile(part).iter_batches(ROWS, columns=FIRST):
                for row in batch.to_pylist():
                    self._take(found, row, part.parent.name)
        return found

    def _take(self, found: Found, row: dict[str, Any], folder: str) -> None:
        found.rows += 1
        found.run, found.project = str(row["run_id"]), str(row["project_id"])
        path, kind = str(row["attribute_path"]), row["attribute_type"]
        if kind in VALUES:
            found.values[path] = row[VALUES[kind]]
        elif kind in TEXTS:
            found.texts[f"{clean_key(path)}.jsonl"] = path
        elif row["file_value"] and row["file_value"].get("path"):
            step = self._step(row["step"]) if kind == "file_series" else None
            self._add_files(found, path, step, folder, str(row["file_value"]["path"]))

    def _add_files(self, found: Found, attribute: str, step: int | None, folder: str, path: str) -> None:
        top = (self._files / folder).resolve()
        place = top / path
        if not is_safe(path) or not place.resolve().is_relative_to(top):
            self._note(f"{found.run}: the file {path!r} leads out of its folder; it is left out")
            return
        name = clean_key(attribute) + ("" if step is None else f"/step_{step}")
        if place.is_file():
            suffix = "" if name.endswith(place.suffix) else place.suffix
            found.files[name + suffix] = place
        elif place.is_dir():
            for inner in sorted(place.rglob("*")):
                if inner.is_file() and inner.resolve().is_relative_to(top):
                    found.files[f"{name}/{inner.relative_to(place).as_posix()}"] = inner
        else:
            self._note(f"{found.run}: the file {path} of {attribute} is not in {top}")

    def _rows(self, root: str, kind: str, value: str) -> Iterator[list[dict[str, Any]]]:
        columns = ["attribute_path", "attribute_type", "step", "timestamp", value]
        for part in self._runs[root].parts:
            for batch in self._arrow.ParquetFile(part).iter_batches(ROWS, columns=columns):
                yield [row for row in batch.to_pylist() if row["attribute_type"] == kind]

    def _write(self, root: str, attribute: str, stream: Any) -> None:
        for kind, column in TEXTS.items():
            for batch in self._rows(root, kind, column):
                for row in batch:
                    if row["attribute_path"] == attribute:
                        said = {"step": _plain(row["step"]), "time": _plain(row["timestamp"]), "value": row[column]}
                        stream.write(json.dumps(said, ensure_ascii=False) + "\n")

    def _step(self, step: Decimal | None) -> int | None:
        if step is None:
            return 0
        scaled = step * self._multiplier
        if scaled != scaled.to_integral_value():
            raise Trouble(f"step {step.normalize()} is no whole number: give --step-multiplier, such as 1000")
        return int(scaled)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise Failure("this needs pyarrow: pip install pyarrow", CANNOT_START) from None
    return pyarrow.parquet


def _parts(folder: Path) -> Iterator[list[Path]]:
    """Yield the parts of each run in order; one whose first part is missing was not exported to its end."""
    runs: dict[tuple[Path, str], dict[int, Path]] = defaultdict(dict)
    for path in sorted(folder.glob("*/*.parquet")):
        if match := PART.fullmatch(path.name):
            runs[path.parent, match[1]][int(match[2])] = path
    for parts in runs.values():
        if 0 in parts:
            yield [parts[number] for number in sorted(parts)]


def _run(found: Found) -> Run:
    values, names = found.values, Names()
    start = _ms(values.get("sys/creation_time"), 0)
    long = {key: value for key, value in values.items() if len(_text(value)) > MAX_VALUE}
    return Run(
        id=f"{found.project}/{found.run}".replace('"', "_"),
        name=_text(values.get("sys/name")) or found.run,
        status=FAILED if values.get("sys/failed") is True else FINISHED,
        start=start,
        end=_ms(values.get("sys/modification_time"), start),
        user=_text(values.get("sys/owner")),
        params={
            names.of(key): _text(value)[:MAX_VALUE]
            for key, value in values.items()
            if not key.startswith("sys/") and value is not None
        },
        tags=_tags(found),
        latest={"rows": found.rows, "long": {key: _text(value) for key, value in long.items()}},
        root=f"{found.project}/{found.run}",
    )


def _tags(found: Found) -> dict[str, str]:
    names = Names()
    tags = {f"neptune.{names.of(key[4:])}": _text(value) for key, value in found.values.items() if key[:4] == "sys/"}
    tags["neptune.run_id"] = found.run
    tags["mlflow.note.content"] = _text(found.values.get("sys/description"))
    return {key: value[:MAX_VALUE] for key, value in tags.items() if value}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def _ms(value: datetime | None, otherwise: int) -> int:
    return otherwise if not isinstance(value, datetime) else round(value.timestamp() * 1000)
