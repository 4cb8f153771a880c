"""Check this export without the portal: python check.py. Exit code 0: every file and every golden answer is right."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "package"))


def damaged(about: dict[str, Any]) -> str:
    """Name the first file whose sha256 is not that of the manifest, or nothing."""
    rows = [(f"files/{row['path']}", row["sha256"]) for row in about["files"]]
    for path, sha256 in rows + [(row["path"], row["sha256"]) for row in about["added"]]:
        if hashlib.sha256((HERE / path).read_bytes()).hexdigest() != sha256:
            return path
    return ""


def wrong(golden: dict[str, Any], backend: Any, columns: Any, tolerance: float) -> int:
    """Count rows whose label differs from the recorded one, or whose score is farther from it than allowed."""
    answer, count = backend.predict(columns), 0
    for row, label in enumerate(golden["predictions"]):
        score, noted = answer.scores[row], golden["scores"][row]
        apart = 0.0 if score is None or noted is None else abs(score - noted) / max(1.0, abs(noted))
        number = isinstance(label, float)
        count += apart > tolerance or not (number or answer.labels[row] == label)
    return count


def main() -> str:
    """Check files, then the stored model, then its ONNX form."""
    about = json.loads((HERE / "manifest.json").read_text("utf-8"))
    if path := damaged(about):
        return f"{path} was altered"
    from deployments.runtime import standalone
    from deployments.runtime.signature import read_records

    golden = json.loads((HERE / "golden.json").read_text("utf-8"))
    for graph, tolerance in ((False, 1e-6), (True, 1e-4)):
        runtime = standalone.load(HERE, graph=graph)[1]
        columns = read_records(golden["records"], runtime.signature)
        if count := wrong(golden, runtime.backend, columns, tolerance):
            return f"{runtime.backend.name} answers {count} of {len(golden['predictions'])} golden rows otherwise"
        sys.stdout.write(f"{runtime.backend.name}: {len(golden['predictions'])} golden rows as recorded\n")
    return ""


if __name__ == "__main__":
    found = main()
    sys.stdout.write(f"{found or 'intact'}\n")
    sys.exit(1 if found else 0)
