"""Write the files of a trained model into a folder.

File names and shapes are an interface: the run page, the registry and the serving
process read them (docs/reference/training-artifacts.md).
"""

import contextlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.training.evaluate import plain
from experiments.training.fit import Trained
from mlportal.lib import modelfile
from mlportal.lib.errors import Unprocessable

REFERENCE_ROWS: Final = 10_000
EXAMPLE_ROWS: Final = 3
MAX_LISTED_CATEGORIES: Final = 50
CHECKED_ROWS: Final = 200
LIBRARIES: Final = ("scikit-learn", "numpy", "scipy", "pandas", "pyarrow", "skops")
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Produced:
    """One file of a training, by its path in the run's artifacts."""

    path: str
    media_type: str
    kind: str


def write(trained: Trained, schema: Sequence[Mapping[str, Any]], folder: Path) -> list[Produced]:
    """Write every file and return what was written.

    Parameters
    ----------
    trained : Trained
        A fitted model.
    schema : sequence of mapping
        Columns of the data as ``{"name", "kind", "nullable"}``.
    folder : pathlib.Path
        An empty folder.

    Raises
    ------
    Unprocessable
        When the model file does not load back to a model with the same answers.
    """
    (folder / "model").mkdir(parents=True, exist_ok=True)
    _write_model(trained, folder / "model" / "model.skops")
    _reference(trained).to_parquet(folder / "model" / "reference.parquet", index=False)
    files = {
        "model/signature.json": signature(trained, schema),
        "model/example.json": _examples(trained),
        "model/environment.json": environment(),
        "metrics.json": _metrics(trained),
        **{f"{name}.json": report for name, report in trained.reports.items()},
    }
    for path, content in files.items():
        (folder / path).write_text(json.dumps(content, allow_nan=False, indent=1), "utf-8")
    return [
        Produced("model/model.skops", "application/octet-stream", "model"),
        Produced("model/reference.parquet", "application/vnd.apache.parquet", "data"),
        *(Produced(path, JSON, "model" if "/" in path else "report") for path in files),
    ]


def _write_model(trained: Trained, path: Path) -> None:
    modelfile.dump(trained.model, path)
    rows = trained.held_out.iloc[:CHECKED_ROWS]
    again = modelfile.load(path).predict(rows)
    if not np.array_equal(again, trained.model.predict(rows)):
        raise Unprocessable(
            "The saved model does not give the same answers as the trained one. Nothing was stored.",
            code="model_not_reproducible",
        )


def signature(trained: Trained, schema: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the model takes and gives."""
    by_name = {str(column["name"]): column for column in schema}
    outputs: list[dict[str, Any]] = [{"name": "prediction", "kind": _target_kind(trained)}]
    if trained.probability is not None:
        outputs.append({"name": "probability", "classes": plain(trained.model.classes_)})
    return {
        "task": trained.spec.task,
        "target": trained.spec.target,
        "inputs": [_input(trained, by_name[name]) for name in trained.columns.all],
        "outputs": outputs,
    }


def _target_kind(trained: Trained) -> str:
    kinds = {"b": "boolean", "i": "integer", "f": "numeric"}
    return kinds.get(trained.target.dtype.kind, "categorical")


def _input(trained: Trained, column: Mapping[str, Any]) -> dict[str, Any]:
    name = str(column["name"])
    values = trained.features[name].iloc[trained.parts.train]
    out: dict[str, Any] = {
        "name": name,
        "kind": _input_kind(trained, name, str(column["kind"])),
        "nullable": bool(column.get("nullable", True)),
    }
    if name in trained.columns.numbers and values.notna().any():
        out |= {"min": float(values.min()), "max": float(values.max())}
    if name in trained.columns.categories:
        known = sorted(values.dropna().unique().tolist())
        if len(known) <= MAX_LISTED_CATEGORIES:
            out["categories"] = known
    return out


def _input_kind(trained: Trained, name: str, kind: str) -> str:
    """Return the kind as a caller sends it: what was dropped or encoded is no question."""
    if name in trained.columns.flags:
        return "boolean"
    if name in trained.columns.dates:
        return "datetime"
    if name in trained.columns.categories:
        return "categorical"
    return "integer" if kind == "integer" else "numeric"


def _reference(trained: Trained) -> pd.DataFrame:
    rows = slice(REFERENCE_ROWS)
    probability = trained.probability
    score = trained.predicted if probability is None else probability[:, -1]
    return trained.held_out.iloc[rows].assign(
        __target__=trained.target[trained.parts.test][rows],
        __prediction__=trained.predicted[rows],
        __score__=np.asarray(score, dtype="float64")[rows],
    )


def _examples(trained: Trained) -> list[dict[str, Any]]:
    """Return input records as a caller would send them."""
    rows = trained.held_out.iloc[:EXAMPLE_ROWS]
    return [{name: _sent(trained, name, value) for name, value in record.items()} for record in rows.to_dict("records")]


def _sent(trained: Trained, name: Any, value: Any) -> Any:
    if pd.isna(value):
        return None
    if name in trained.columns.flags:
        return bool(value)
    if name in trained.columns.dates:
        return value.isoformat()
    if name in trained.columns.categories:
        return value
    return int(value) if float(value).is_integer() else float(value)


def _metrics(trained: Trained) -> dict[str, Any]:
    folds = {
        key: {"mean": float(np.mean(values)), "std": float(np.std(values)), "folds": values}
        for key, values in trained.folds.items()
    }
    return {
        "metrics": trained.metrics,
        "cross_validation": folds,
        "rows": {"train": len(trained.parts.train), "test": len(trained.parts.test)},
        "features": list(trained.columns.all),
        "warnings": list(trained.warnings),
    }


def environment() -> dict[str, Any]:
    """Return the versions a model file depends on."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "packages": packages(),
        "hardware": hardware(),
    }


def packages() -> dict[str, str]:
    """Return every installed distribution with its version."""
    found = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def hardware() -> dict[str, Any]:
    """Return what this machine computes with; what the kernel does not tell is left out."""
    out: dict[str, Any] = {"cores": os.cpu_count(), "cores_usable": len(os.sched_getaffinity(0))}
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        out |= {"processor": names[0]} if names else {}
    out["memory_bytes"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cards = sorted(path.name for path in Path("/proc/driver/nvidia/gpus").glob("*"))
    return out | ({"gpus": cards} if cards else {})
