"""Our drift and estimated performance beside NannyML's on the same rows.

``NANNYML_PYTHON=FOLDER/bin/python python -m tests.benchmarks.oracles [rows]``; ``drift_rivals.sh nannyml FOLDER`` makes
the environment. Ours reads grids, NannyML the rows. Its Wasserstein is not in standard deviations, so it is divided by
that of the reference. Estimates are compared with NannyML's and with what came true.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from monitoring import drift
from monitoring.drift import estimate, expected, score, shape
from tests.benchmarks.drift import table

ROWS, LABELLED = 200_000, 20_000
SHIFTS = (0.0, 0.5, 1.0)
BAR = 0.005
DRIFT = """
import json, sys, time
import nannyml as nml, pandas as pd
reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
exact = {"calculation_method": "exact", "n_bins": 10_000}
began = time.process_time()
found = nml.UnivariateDriftCalculator(
    column_names=list(reference), continuous_methods=["kolmogorov_smirnov", "wasserstein"],
    categorical_methods=["jensen_shannon"], chunk_number=1,
    computation_params={"kolmogorov_smirnov": exact, "wasserstein": exact},
).fit(reference).calculate(current).filter(period="analysis").to_df(multilevel=False)
values = {name: float(found[name].iloc[0]) for name in found if name.endswith("_value")}
print(json.dumps([time.process_time() - began, values]))
"""
CLASSES = """
import json, sys
import nannyml as nml, pandas as pd
reference = pd.read_parquet(sys.argv[1])
fitted = nml.CBPE(
    metrics=["roc_auc", "accuracy", "f1", "precision", "recall"], y_pred_proba="score", y_pred="answer", y_true="truth",
    problem_type="classification_binary", chunk_number=1,
).fit(reference)
windows = [pd.read_parquet(path) for path in sys.argv[2:]]
found = [fitted.estimate(one).filter(period="analysis").to_df(multilevel=False) for one in windows]
names = ["roc_auc", "accuracy", "f1", "precision", "recall"]
print(json.dumps([{name: float(one[name + "_value"].iloc[0]) for name in names} for one in found]))
"""
NUMBERS = """
import json, sys
import nannyml as nml, pandas as pd
reference = pd.read_parquet(sys.argv[1])
fitted = nml.DLE(metrics=["mae"], y_pred="answer", y_true="truth", feature_column_names=["x", "z"],
                 chunk_number=1).fit(reference)
windows = [pd.read_parquet(path) for path in sys.argv[2:]]
found = [fitted.estimate(one).filter(period="analysis").to_df(multilevel=False) for one in windows]
print(json.dumps([{"mae": float(one["mae_value"].iloc[0])} for one in found]))
"""


def asked(python: str, program: str, *frames: pd.DataFrame) -> Any:
    """Run a program of the rival on frames, each a Parquet file; its answer is the last line."""
    with tempfile.TemporaryDirectory() as held:
        paths = [str(Path(held) / f"{place}.parquet") for place in range(len(frames))]
        for frame, path in zip(frames, paths, strict=True):
            frame.to_parquet(path, index=False)
        environment = os.environ | {"NML_DISABLE_USAGE_LOGGING": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run([python, "-c", program, *paths], env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def scores(python: str, rows: int) -> None:
    """Compare KS and Wasserstein of 24 numbers and Jensen-Shannon of 6 words."""
    reference, current = table(rows, 1, 0.0), table(rows, 2, 0.1)
    kinds = {name: "numeric" if name[0] == "x" else "categorical" for name in reference}
    grids = drift.reference(reference, kinds)
    began = time.process_time()
    counts = {name: drift.fill(grid, current[name]) for name, grid in grids.items()}
    own = {one.column: one for one in score.columns(grids, counts)}
    seconds = time.process_time() - began
    for name in (name for name in kinds if name[0] == "w"):
        for frame in (reference, current):
            frame[f"g{name}"] = frame[name].where(frame[name].isin(grids[name]["levels"]), "other")
    theirs, values = asked(python, DRIFT, reference, current)
    print(f"{rows:,} rows: own {seconds:.2f} s of processor, NannyML {theirs:.2f} s, without start-up")
    spread = {name: float(np.std(reference[name])) for name in kinds if name[0] == "x"}
    numbers = [name for name in kinds if name[0] == "x"]
    words = [name for name in kinds if name[0] == "w"]
    far("KS", [(own[name].ks, values[f"{name}_kolmogorov_smirnov_value"]) for name in numbers])
    far(
        "Wasserstein/sd",
        [(own[name].wasserstein, values[f"{name}_wasserstein_value"] / spread[name]) for name in numbers],
    )
    far("Jensen-Shannon", [(own[name].js, values[f"g{name}_jensen_shannon_value"]) for name in words])
    far("... of 2,000 values", [(own[name].js, values[f"{name}_jensen_shannon_value"]) for name in words], barred=False)


def far(name: str, pairs: list[tuple[float | None, float]], *, barred: bool = True) -> None:
    """Print the largest difference; ours keeps the 50 commonest words and counts the others as one."""
    worst = max(abs(float(mine or 0.0) - value) for mine, value in pairs)
    bar = f" (bar {BAR}){'' if worst <= BAR else '  MISSED'}" if barred else ""
    print(f"{name:22} largest difference {worst:.5f} of {len(pairs)}{bar}", flush=True)


def classified(size: int, shift: float, seed: int) -> pd.DataFrame:
    """A model whose scores are too sure of themselves, under another mix of its one feature."""
    chance = np.random.default_rng(seed)
    x = chance.normal(shift, 1.0, size)
    held = 1 / (1 + np.exp(-2.5 * x))
    truth = chance.random(size) < 1 / (1 + np.exp(-1.2 * x))
    return pd.DataFrame({"x": x, "score": held, "answer": (held >= 0.5).astype(int), "truth": truth.astype(int)})


def measured(size: int, shift: float, seed: int) -> pd.DataFrame:
    """A regression whose error grows with a feature."""
    chance = np.random.default_rng(seed)
    x, z = chance.normal(shift, 1.0, size), chance.normal(0.0, 1.0, size)
    truth = 2 * x + z + chance.normal(0, 1, size) * (0.5 + np.abs(x))
    return pd.DataFrame({"x": x, "z": z, "answer": 2 * x + z, "truth": truth})


def estimates(python: str) -> None:
    """Compare CBPE and DLE."""
    for name, program, make, regression in (("CBPE", CLASSES, classified, False), ("DLE", NUMBERS, measured, True)):
        reference = make(LABELLED, 0.0, 1)
        windows = [make(LABELLED, shift, 10 + place) for place, shift in enumerate(SHIFTS)]
        theirs = asked(python, program, reference, *windows)
        for shift, window, found in zip(SHIFTS, windows, theirs, strict=True):
            mine, real = (
                own_estimate(reference, window, regression=regression),
                came_true(window, regression=regression),
            )
            for figure, value in found.items():
                told = f" real {real[figure]:.4f}" if figure in real else ""
                print(f"{name} {figure:10} shift {shift}: own {mine[figure]:.4f} NannyML {value:.4f}{told}", flush=True)


def own_estimate(reference: pd.DataFrame, window: pd.DataFrame, *, regression: bool) -> dict[str, float]:
    """Estimate from the counts of a window, as the shipper makes them."""
    held = columns(reference, regression=regression)
    kinds = {"x": "numeric", "z": "numeric", shape.SCORE: "numeric",
             shape.PREDICTION: "numeric" if regression else "categorical"}  # fmt: skip
    grids = drift.reference(held, kinds)
    asked_of = columns(window, regression=regression)
    if not regression:
        return expected.figures(grids, {shape.SCORE: drift.fill(grids[shape.SCORE], asked_of[shape.SCORE])})
    errors = estimate.errors(grids[shape.SCORE]["estimate"], asked_of, grids)
    assert errors is not None
    return expected.figures(grids, {shape.ERROR: {"counts": [len(errors)], "sums": [float(errors.sum())], "nulls": 0}})


def columns(frame: pd.DataFrame, *, regression: bool) -> dict[str, Any]:
    """Columns by the names that the portal gives them."""
    features = {name: frame[name].to_numpy() for name in ("x", "z") if name in frame}
    held = frame["answer" if regression else "score"].to_numpy()
    answers, truth = frame["answer"].to_numpy(), frame["truth"].to_numpy()
    return features | {shape.SCORE: held, shape.PREDICTION: answers, shape.TARGET: truth}


def came_true(window: pd.DataFrame, *, regression: bool) -> dict[str, float]:
    """The figures of the labels."""
    right = window["answer"] == window["truth"]
    return {"mae": float((window["answer"] - window["truth"]).abs().mean())} if regression else {
        "accuracy": float(right.mean())
    }  # fmt: skip


if __name__ == "__main__":
    named = os.environ.get("NANNYML_PYTHON")
    if not named:
        print("NANNYML_PYTHON names no Python with NannyML: nothing is compared")
        sys.exit()
    scores(named, int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
    estimates(named)
