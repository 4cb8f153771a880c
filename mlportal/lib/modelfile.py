"""Read and write fitted scikit-learn models as skops files with our own fixed list of types.

A skops file names the types it holds; whatever is not on the list is refused before anything is built.
There is no fallback to pickle. The list covers what our own trainer writes and nothing else.
"""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from mlportal.lib import zips
from mlportal.lib.errors import Unprocessable

TRUSTED = frozenset(
    {
        "numpy.dtype",
        "sklearn.tree._tree.Tree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.newObj",
        "sklearn.neighbors._ball_tree.newObj",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.ManhattanDistance64",
        "sklearn.metrics._dist_metrics.MinkowskiDistance64",
        "sklearn.metrics._dist_metrics.newObj",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn._loss.link.HalfLogitLink",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn._loss._loss.CyHalfSquaredError",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "experiments.training.dates.DateParts",
    }
)

_SCHEMA = "schema.json"


class ModelRefused(Unprocessable):
    """The file holds a type that is not on our list, or is no skops file."""

    kind = "model_refused"
    title = "The model file is not safe to load"


def dump(model: Any, path: Path) -> None:
    """Write a fitted model to ``path`` as a skops file; forests shrink to a third by compression."""
    from skops import io

    io.dump(model, path, compression=zipfile.ZIP_DEFLATED, compresslevel=1)


def content_sha256(path: Path) -> str:
    """Hash what a skops file holds: the same model saved twice gives the same hash.

    The bytes differ each time: objects are named by their address in memory, and the zip keeps the time of writing.
    So objects count by their first appearance, arrays by the hash of their bytes, and the writer's version is left out.

    Raises
    ------
    ModelRefused
        When the file is no skops file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {
                name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist() if name != _SCHEMA
            }
            schema = json.loads(archive.read(_SCHEMA))
    except (KeyError, ValueError, *zips.DAMAGED) as error:
        raise ModelRefused(f"The file is not a skops model: {type(error).__name__}.") from error
    schema.pop("_skops_version", None)
    plain = _nameless(schema, arrays, {})
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _nameless(value: Any, arrays: dict[str, str], seen: dict[Any, int]) -> Any:
    if isinstance(value, list):
        return [_nameless(item, arrays, seen) for item in value]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for key, item in value.items():
        if key == "__id__":
            out[key] = seen.setdefault(item, len(seen))
        elif key == "file" and item in arrays:
            out[key] = arrays[item]
        else:
            out[key] = _nameless(item, arrays, seen)
    return out


def untrusted(path: Path) -> list[str]:
    """Types in the file that are not on our list, sorted."""
    from skops import io

    try:
        found = io.get_untrusted_types(file=path)
    except Exception as error:
        raise ModelRefused(f"The file is not a skops model: {type(error).__name__}.") from error
    return sorted(set(found) - TRUSTED)


def load(path: Path) -> Any:
    """Load a model whose types are all on our list.

    Raises
    ------
    ModelRefused
        Naming the types that are not.
    """
    from skops import io

    if refused := untrusted(path):
        raise ModelRefused(
            f"The model file holds types that are not allowed: {', '.join(refused[:5])}.", got=refused[:20]
        )
    return io.load(path, trusted=sorted(TRUSTED))
