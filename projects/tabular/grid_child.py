"""The process that reads rows for pages: ``python -m projects.tabular.grid_child``.

It has no secret and no database. Requests come as lines of JSON on the input, answers go as lines to the
output; ``export`` and ``build`` are asked of a process of their own, named on the command line.
"""

import json
import resource
import select
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

IDLE_SECONDS = 300.0
MOST_OPEN = 4
MOST_COUNTS = 500


class Reader:
    """Open files and counts that were made before."""

    def __init__(self, *, memory_bytes: int) -> None:
        self._memory = memory_bytes
        self._open: OrderedDict[str, Any] = OrderedDict()
        self._counts: OrderedDict[str, int] = OrderedDict()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Rows and their total, or why there are none."""
        import duckdb

        watch = None
        try:
            grid = self._grid(request["file"])
            watch = threading.Timer(request["seconds"], grid.connection.interrupt)
            watch.start()
            return {"total": self._count(grid, request), "rows": grid.page(**request["page"], where=request["where"])}
        except duckdb.InterruptException:
            return {"refused": f"It took longer than {request['seconds']:g} seconds.", "code": "too_slow"}
        except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.BinderException) as error:
            return {"refused": str(error).splitlines()[0][:300], "code": "bad_filter"}
        except (duckdb.Error, MemoryError) as error:
            return {"refused": f"{type(error).__name__}: {error}"[:300], "code": "failed"}
        finally:
            if watch is not None:
                watch.cancel()

    def _grid(self, file: str) -> Any:
        from .grid import Grid

        if file not in self._open:
            while len(self._open) >= MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            self._open[file] = Grid(Path(file), memory_bytes=self._memory)
        self._open.move_to_end(file)
        return self._open[file]

    def _count(self, grid: Any, request: dict[str, Any]) -> int:
        key = request["file"] + json.dumps(request["where"], sort_keys=True)
        if key not in self._counts:
            self._counts[key] = grid.count(request["where"])
            while len(self._counts) > MOST_COUNTS:
                self._counts.popitem(last=False)
        return self._counts[key]


def serve(limits: dict[str, int]) -> int:
    """Answer requests until the input ends or nothing is asked for long."""
    reader = Reader(memory_bytes=limits["memory_bytes"])
    while select.select([sys.stdin.buffer], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            break
        said = json.dumps(reader.answer(json.loads(line)), allow_nan=False)
        sys.stdout.buffer.write(said.encode() + b"\n")
        sys.stdout.buffer.flush()
    return 0


def build(request: dict[str, Any], limits: dict[str, int]) -> int:
    """Write the file that pages are read from."""
    from .grid import build as write

    del limits
    write([Path(path) for path in request["paths"]], Path(request["file"]))
    return 0


def export(request: dict[str, Any], limits: dict[str, int]) -> int:
    """Write all rows that pass to the output, as CSV or Parquet."""
    from . import export as forms
    from .grid import Grid

    grid = Grid(Path(request["file"]), memory_bytes=limits["memory_bytes"])
    rows = grid.batches(request["columns"], request["where"], sort=request["sort"], descending=request["descending"])
    write = forms.write_parquet if request["format"] == "parquet" else forms.write_csv
    write(rows, request["names"], sys.stdout.buffer)
    sys.stdout.buffer.flush()
    return 0


def main(arguments: list[str]) -> int:
    """Run the part that the command line names, within limits."""
    limits = json.loads(arguments[1])
    resource.setrlimit(resource.RLIMIT_DATA, (limits["data_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if arguments[0] == "serve":
        return serve(limits)
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_seconds"],) * 2)
    request = json.loads(sys.stdin.buffer.readline())
    return (build if arguments[0] == "build" else export)(request, limits)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
