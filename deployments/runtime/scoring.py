"""Score a table in chunks and put the answers together: ``python -m deployments.runtime.scoring FOLDER``.

The process finds ``request.json`` and leaves each finished chunk as a file with its report beside it, written last, so
that whoever sees the report has the whole chunk. It has no secret, no database, and limits set by the kernel.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.runtime.fit import ERROR, PREDICTION, SHARE
from deployments.runtime.signature import MAX_ROWS, Signature, parse
from mlportal.lib.errors import DomainError, Unprocessable
from projects.tabular import child

if TYPE_CHECKING:
    import pyarrow as pa

    from deployments.runtime import sifting
    from deployments.runtime.backends import Backend

RESULT, ANSWER = "result.parquet", "answer.json"
MOST_NAMED = 100  # faults that are kept with their row and column
TOLD = 5  # faults that a refusal names
LOADED, SCORED = 0.05, 0.9  # shares of the progress
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """Columns of the answers: the type of a label, and the name of each probability."""

    label: pa.DataType
    shares: list[str]


@dataclass(frozen=True, slots=True)
class Work:
    """What every chunk is scored with."""

    backend: Backend
    signature: Signature
    shape: Shape


@dataclass(frozen=True, slots=True)
class Chunk:
    """A finished chunk: where it lies, its rows, and how many of them have no answer."""

    path: Path
    rows: int
    refused: int


def chunk_name(number: int) -> str:
    """Return the name of the file of a chunk; its report has the same name with the ending ``.json``."""
    return f"chunk-{number:06}.parquet"


def main(folder: Path) -> int:
    """Score as the request says. Returns the exit code."""
    child.die_with_parent()
    asked = json.loads((folder / child.REQUEST).read_text())
    child.limit(asked["kernel_limits"])
    try:
        answer = run(asked, folder)
    except DomainError as refusal:
        _write(folder / child.REFUSAL, {"message": refusal.message})
        return child.REFUSED
    except MemoryError:
        memory = asked["kernel_limits"]["memory_bytes"] // 2**20
        _write(folder / child.REFUSAL, {"message": f"Scoring needs more than {memory:,} MB of memory, the limit."})
        return child.REFUSED
    _write(folder / ANSWER, answer)
    return 0


def run(asked: Json, folder: Path) -> Json:
    """Load the version, score the chunks that are not there yet, write the result."""
    import warnings

    from deployments.runtime import loading  # the worker that watches this process never loads the engine
    from mlportal.lib import modelfile

    warnings.simplefilter("ignore")  # scikit-learn warns of each unseen category; those are part of the answers
    said = child.Progress(folder / child.PROGRESS)
    said(0.01, "Loading the model")
    files = {path: Path(local) for path, local in asked["files"].items()}
    # Without a graph: which of ONNX and the pipeline is faster changes from load to load, and so would the last digits.
    runtime = loading.load(files, asked["signature"], modelfile.load)
    signature = parse(asked["signature"])
    shape = _shape(runtime.backend, loading.trial_rows(files, signature), signature)
    work = Work(runtime.backend, signature, shape)
    chunks = [Chunk(Path(row["path"]), row["rows"], row["refused"]) for row in asked["done"]]
    columns = list(dict.fromkeys([*signature.names, *asked["keep"]]))
    for table in _tables(Path(asked["path"]), columns, asked["chunk_rows"], skip=len(chunks)):
        number = len(chunks)
        report = _chunk(table, asked, work, folder / chunk_name(number), number)
        chunks.append(Chunk(folder / chunk_name(number), report["rows"], report["refused"]))
        done = sum(chunk.rows for chunk in chunks) / asked["rows"]
        said(LOADED + (SCORED - LOADED) * done, f"Scoring chunk {number + 1:,}")
        _refuse_many(chunks, report, asked["most_refused"])
    said(SCORED, "Writing the result")
    summary = _merge(chunks, folder / RESULT, shape, count_labels=signature.task == "classification")
    return {"backend": runtime.backend.name, **summary}


def _tables(path: Path, columns: list[str], rows: int, *, skip: int) -> Iterator[pa.Table]:
    """Tables of so many rows each, without the first ones."""
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        groups, before = _groups_after(file.metadata, skip * rows)
        if not groups:
            return
        held: list[pa.RecordBatch] = []
        size, drop = 0, skip * rows - before
        for batch in file.iter_batches(batch_size=rows, row_groups=groups, columns=columns):
            kept = batch.slice(min(drop, batch.num_rows))
            drop -= batch.num_rows - kept.num_rows
            held.append(kept)
            size += kept.num_rows
            while size >= rows:
                table = pa.Table.from_batches(held)
                yield table.slice(0, rows)
                held, size = table.slice(rows).to_batches(), size - rows
        if size:
            yield pa.Table.from_batches(held)


def _groups_after(metadata: Any, rows: int) -> tuple[list[int], int]:
    """Row groups that hold the rows after so many, and how many rows lie before the first of them."""
    before = 0
    for group in range(metadata.num_row_groups):
        size = metadata.row_group(group).num_rows
        if before + size > rows:
            return list(range(group, metadata.num_row_groups)), before
        before += size
    return [], before


def _shape(backend: Backend, trial: list[list[Any]], signature: Signature) -> Shape:
    import pyarrow as pa

    answer = backend.predict([held[:1] for held in trial])
    found = type(answer.labels[0])
    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    count = len(answer.probabilities[0]) if answer.probabilities is not None else 0
    classes = signature.classes if len(signature.classes) == count else range(count)
    return Shape(types.get(found, pa.string()), [f"{SHARE}{value}" for value in classes])


def _chunk(table: pa.Table, asked: Json, work: Work, target: Path, number: int) -> Json:
    """Score one table, write it, and write its report last."""
    from pyarrow import parquet

    first = number * asked["chunk_rows"] + 1
    scored = [
        _scored(table.slice(start, MAX_ROWS), work, first + start) for start in range(0, table.num_rows, MAX_ROWS)
    ]
    kept = {name: table.column(name) for name in asked["keep"]}
    parquet.write_table(_answers(kept, scored, work.shape), target, compression="zstd")
    faults = [fault for part in scored for _, fault in sorted(part.faults.items())]
    report = {
        "number": number, "rows": table.num_rows, "refused": len(faults),
        "errors": [fault.plain() for fault in faults[:MOST_NAMED]],
    }  # fmt: skip
    _write(target.with_suffix(".json"), report)
    return report


def _scored(table: pa.Table, work: Work, first_row: int) -> sifting.Scored:
    from deployments.runtime import sifting

    columns = [sifting.values(table.column(column.name), column) for column in work.signature.columns]
    return sifting.score(work.backend, columns, work.signature, first_row=first_row)


def _answers(kept: dict[str, Any], scored: list[sifting.Scored], shape: Shape) -> pa.Table:
    import pyarrow as pa

    labels = [label for part in scored for label in part.labels]
    if shape.label == pa.string():
        labels = [None if label is None else str(label) for label in labels]
    out = {**kept, PREDICTION: pa.array(labels, shape.label)}
    for place, name in enumerate(shape.shares):
        held = [None if row is None else row[place] for part in scored for row in part.probabilities]
        out[name] = pa.array(held, pa.float64())
    words = [_words(part.faults.get(row)) for part in scored for row in range(len(part.labels))]
    return pa.table({**out, ERROR: pa.array(words, pa.string())})


def _words(fault: sifting.Fault | None) -> str | None:
    """Say what is wrong without the value, which may be one that not everybody sees."""
    if fault is None:
        return None
    return f"column {fault.column} does not fit" if fault.column else fault.message


def _refuse_many(chunks: list[Chunk], report: Json, most: int) -> None:
    refused, rows = sum(chunk.refused for chunk in chunks), sum(chunk.rows for chunk in chunks)
    if refused <= most:
        return
    told = "; ".join(f"row {row['row']:,}, column {row['column'] or '-'}" for row in report["errors"][:TOLD])
    raise Unprocessable(
        f"{refused:,} of the first {rows:,} rows cannot be scored, and at most {most:,} may. Among them {told}.",
        code="rows_refused", limit=most, got=refused,
    )  # fmt: skip


def _merge(chunks: list[Chunk], target: Path, shape: Shape, *, count_labels: bool) -> Json:
    """Write the chunks one after the other, and count what they say."""
    from pyarrow import parquet

    from deployments.runtime.distribution import Distribution

    whole = not sum(chunk.refused for chunk in chunks)
    usual = "" if count_labels else PREDICTION
    score = shape.shares[-1] if shape.shares else usual
    found = Distribution(score, bounds=(0.0, 1.0) if shape.shares else None, count_labels=count_labels)
    for chunk in chunks if score else ():
        found.look(parquet.ParquetFile(chunk.path).read(columns=[score]))
    writer = None
    for chunk in chunks:
        table = parquet.ParquetFile(chunk.path).read()
        table = table.drop_columns([ERROR]) if whole else table
        found.count(table)
        writer = writer or parquet.ParquetWriter(target, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()
    return {"rows": sum(chunk.rows for chunk in chunks), "distribution": found.plain()}


def _write(path: Path, content: Json) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, allow_nan=False))
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
