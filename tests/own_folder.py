"""Each process of a parallel run keeps its files in a folder of its own.

Loaded with ``-p`` before Django reads its settings: two processes that store the same content must not share the
file, since a test may damage or remove what it stored.
"""

import os
from pathlib import Path

worker, data = os.environ.get("PYTEST_XDIST_WORKER"), os.environ.get("MLPORTAL_DATA_DIR")
if worker and data and Path(data).name != worker:
    own = Path(data) / worker
    own.mkdir(exist_ok=True)
    os.environ["MLPORTAL_DATA_DIR"] = str(own)
