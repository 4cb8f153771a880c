"""The process that cuts a version: ``python -m projects.tabular.split.child FOLDER``.

It finds ``request.json`` and leaves ``rows.parquet`` (row, part), and writes its report to standard output.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlportal.lib.errors import DomainError, Unprocessable
from projects.tabular import child as outer
from projects.tabular.words import clip

from .recipe import Recipe

ROWS = "rows.parquet"
SHOWN_VALUES = 10
BATCH_ROWS = 65_536


def main(folder: Path) -> int:
    """Cut as the request says. Returns the exit code."""
    outer.die_with_parent()
    request = json.loads((folder / outer.REQUEST).read_text())
    outer.limit(request["kernel_limits"])
    try:
        answer: dict[str, Any] = {"report": run(request, folder)}
    except DomainError as refusal:
        answer = {"refusal": refusal.message}
    json.dump(answer, sys.stdout, allow_nan=False)
    return 0


def run(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write the row numbers and give the report: sizes, balance, leakage."""
    from .cut import cut  # scikit-learn, after the limits are set

    said = outer.Progress(folder / outer.PROGRESS)
    recipe, path = Recipe(**request["recipe"]), Path(request["path"])
    kinds = {entry["name"]: entry["kind"] for entry in request["schema"]}
    said(0.05, "Reading the column")
    values = _values(recipe, path)
    said(0.2, "Cutting")
    parts = cut(recipe, request["rows"], values).parts()
    _write(parts, folder / ROWS)
    said(0.5, "Looking for leakage")
    report: dict[str, Any] = {"rows": request["rows"], "parts": _sizes(parts, request["rows"])}
    report |= _balance(recipe, path, parts, kinds, request.get("levels", {}))
    report["duplicates"] = _duplicates(path, parts, [name for name, kind in kinds.items() if kind == "id"])
    if recipe.kind == "group":
        report["groups"] = _groups(parts, values)
    if recipe.kind == "time" and recipe.column:
        report["times"] = _times(parts, path, recipe.column)
    return report


def _column(path: Path, name: str) -> pa.Array:
    with pq.ParquetFile(path) as file:
        at = file.schema_arrow.get_field_index(name)
        field = file.schema_arrow.field(at)
        chunks = [batch.column(batch.schema.get_field_index(name)) for batch in
                  file.iter_batches(batch_size=BATCH_ROWS, columns=[name])]  # fmt: skip
    return pa.chunked_array(chunks, type=field.type).combine_chunks()


def _values(recipe: Recipe, path: Path) -> NDArray[Any] | None:
    """What the cut goes by: codes of values in their order, or times."""
    if not recipe.column:
        return None
    column = _column(path, recipe.column)
    if column.null_count and recipe.kind != "stratified":
        raise Unprocessable(
            f"{column.null_count:,} rows have no {recipe.column}, so they belong to no side. "
            "Choose another column, or fill it in the data.",
            code="column_missing", field="column", got=column.null_count,
        )  # fmt: skip
    if recipe.kind == "time":
        moments = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        return np.asarray(moments.to_numpy(zero_copy_only=False))
    return codes(column)[0]


def codes(column: pa.Array) -> tuple[NDArray[np.int64], list[Any]]:
    """Code of each value in the order of the values, as ``numpy.unique`` gives; missing is the last code."""
    encoded = column.dictionary_encode()
    known = encoded.dictionary.to_pylist()
    order = sorted(range(len(known)), key=known.__getitem__)
    rank = np.empty(len(known) + 1, dtype=np.int64)
    rank[order] = np.arange(len(known))
    rank[len(known)] = len(known)
    indices = encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
    return rank[indices], [*(known[at] for at in order), None]


def _write(parts: dict[str, NDArray[np.int64]], path: Path) -> None:
    rows = np.concatenate(list(parts.values()))
    names = pa.DictionaryArray.from_arrays(
        np.repeat(np.arange(len(parts), dtype=np.int8), [len(part) for part in parts.values()]), list(parts)
    )
    pq.write_table(pa.table({"row": pa.array(rows, pa.int64()), "part": names}), path, compression="zstd")


def _sizes(parts: dict[str, NDArray[np.int64]], rows: int) -> dict[str, Any]:
    return {name: {"rows": len(part), "share": len(part) / rows} for name, part in parts.items() if len(part)}


def _balance(
    recipe: Recipe, path: Path, parts: dict[str, NDArray[np.int64]], kinds: dict[str, str], levels: dict[str, int]
) -> dict[str, Any]:
    """Shares of the values of one column in each part: the named one, the stratified one, or the last with few."""
    few = [name for name, kind in kinds.items() if kind in ("boolean", "categorical") and levels.get(name, 99) <= 20]
    named = recipe.balance or (recipe.column if recipe.kind == "stratified" else (few[-1] if few else ""))
    if not named:
        return {}
    coded, known = codes(_column(path, named))
    total = np.bincount(coded, minlength=len(known))
    shown = [at for at in np.argsort(-total, kind="stable")[:SHOWN_VALUES] if total[at]]
    words = ["missing" if known[at] is None else clip(_word(known[at]), 60) for at in shown]
    balance = {}
    for name, part in parts.items():
        if len(part):
            counts = np.bincount(coded[part], minlength=len(known))
            balance[name] = [float(counts[at] / len(part)) for at in shown]
    return {"balance": {"column": named, "values": words, "parts": balance}}


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _duplicates(path: Path, parts: dict[str, NDArray[np.int64]], ids: list[str]) -> dict[str, int]:
    """Held-out rows that also occur, value for value without identifiers, in the training part."""
    import pandas as pd

    hashes = []
    with pq.ParquetFile(path) as file:
        wanted = [name for name in file.schema_arrow.names if name not in ids]
        if not wanted:
            return {}
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            frame = batch.select(wanted).to_pandas()
            hashes.append(pd.util.hash_pandas_object(frame, index=False).to_numpy())
    hashed = np.concatenate(hashes)
    train = np.unique(hashed[parts["train"]])
    return {name: int(np.isin(hashed[parts[name]], train).sum()) for name in ("validation", "test") if len(parts[name])}


def _groups(parts: dict[str, NDArray[np.int64]], values: NDArray[Any] | None) -> dict[str, int]:
    assert values is not None
    inside = [set(np.unique(values[part]).tolist()) for part in parts.values() if len(part)]
    overlap = sum(len(one) for one in inside) - len(set().union(*inside))
    return {"count": len(set().union(*inside)), "overlap": overlap}


def _times(parts: dict[str, NDArray[np.int64]], path: Path, name: str) -> dict[str, list[str]]:
    column = _column(path, name)
    found = {}
    for part, rows in parts.items():
        if len(rows):
            ends = column.take(pa.array([rows[0], rows[-1]])).to_pylist()  # by time, parts are in order
            found[part] = [str(end)[:19] for end in ends]
    return found


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
