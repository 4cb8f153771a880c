"""Workers that only sweep stay small: what computes is imported by those that compute."""

import subprocess
import sys

from django.conf import settings

IMPORTED = """
import sys, django
django.setup()
import deployments.pipeline, experiments.pipeline, monitoring.pipeline, projects.pipeline
print(*sorted({"duckdb", "matplotlib", "onnxruntime", "pandas", "scipy", "skops", "sklearn"} & set(sys.modules)))
"""


def test_a_worker_imports_no_engine_before_it_computes():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
