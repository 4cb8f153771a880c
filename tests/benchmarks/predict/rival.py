"""The same pipelines behind ``mlflow models serve``, written by MLflow's own interpreter.

Reads {"folder", "kind"} from standard input; trains on the same rows, since MLflow stores a format of its own.
"""

import json
import sys
from pathlib import Path

import mlflow

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.predict import model  # noqa: E402 - after the path

if __name__ == "__main__":
    given = json.load(sys.stdin)
    fitted, _ = model.fit(given["kind"])
    mlflow.sklearn.save_model(fitted, given["folder"], serialization_format="cloudpickle")
