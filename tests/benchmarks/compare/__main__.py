"""Run the measurements on throw-away servers, on PostgreSQL and then on SQLite."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FILE = "tests/benchmarks/compare/bench_compare.py"
command = [sys.executable, "scripts/run_tests.py", *sys.argv[1:], FILE, "-s", "-q", "-p", "no:randomly"]
sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)
