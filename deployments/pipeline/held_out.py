"""The held-out rows of a version, as its training left them."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from deployments import gates
from deployments.models import ModelVersion
from mlportal.lib import blobs
from mlportal.lib.errors import Unprocessable

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 300_000


def reference(version: ModelVersion) -> "pd.DataFrame":
    """Read the held-out rows of a version."""
    path = gates.reference_file(version)
    digest = version.file(path)
    if digest is None:
        raise Unprocessable(f"{version} has no held-out rows ({path}).", code="no_reference")
    blobs.verify(digest)
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "reference.parquet"
        link.symlink_to(blobs.local_path(digest))
        import pandas as pd

        return pd.read_parquet(link).head(MAX_ROWS)
