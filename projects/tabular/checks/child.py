"""The process that measures checks: ``python -m projects.tabular.checks.child FOLDER``.

It finds ``request.json`` in its folder and answers on its standard output, so that the one which runs a
foreign SELECT may be forbidden to write any file at all.
"""

import json
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from projects.tabular import child as outer

from . import measure, sandbox
from .rules import read


def main(folder: Path) -> int:
    """Measure what the request asks for. Returns the exit code."""
    outer.die_with_parent()
    request = json.loads((folder / outer.REQUEST).read_text())
    outer.limit(request["kernel_limits"])
    results = _query(request) if request["foreign"] else _declared(request, folder)
    json.dump([asdict(result) for result in results], sys.stdout, allow_nan=False)
    return 0


def _query(request: dict[str, Any]) -> list[measure.Result]:
    rule = read(request["rules"][0])
    path = Path(request["path"])
    return [measure.of_query(rule, path, memory_mb=request["memory_mb"], seconds=request["seconds"])]


def _declared(request: dict[str, Any], folder: Path) -> list[measure.Result]:
    said = outer.Progress(folder / outer.PROGRESS)
    rules = [read(one) for one in request["rules"]]
    results = []
    with sandbox.opened(Path(request["path"]), memory_mb=request["memory_mb"], spill=folder / "spill") as connection:
        table = measure.Table(
            connection,
            kinds={entry["name"]: entry["kind"] for entry in request["schema"]},
            rows=request["rows"],
            earlier_rows=request["earlier_rows"],
            uploaded_at=datetime.fromisoformat(request["uploaded_at"]),
            now=datetime.fromisoformat(request["now"]),
        )
        for at, rule in enumerate(rules):
            said(at / len(rules), rule.sentence[:100])
            results.append(measure.measure(rule, table))
    return results


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
