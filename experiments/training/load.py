"""Read the typed copy of a dataset version."""

from pathlib import Path

import pandas as pd

from experiments.training.spec import TrainingSpec


def load(path: Path, spec: TrainingSpec) -> pd.DataFrame:
    """Return the columns a specification needs, read from Parquet.

    Parameters
    ----------
    path : pathlib.Path
        The canonical Parquet file that profiling wrote.
    spec : TrainingSpec
        Names the target and, perhaps, the features.
    """
    columns = None if spec.features is None else [*spec.features, spec.target]
    # One thread: each would map memory of its own, which the limit counts.
    return pd.read_parquet(path, columns=columns, use_threads=False)
