"""The training process: reads a request, trains, writes files, reports in JSON lines.

Started by `experiments.pipeline` with an empty environment in its own session and
folder: ``python -m experiments.training.child <request file>``; its reports go to descriptor 3.
It never sees the database, the broker or a secret.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Final

REPORTS: Final = 3
PR_SET_NO_NEW_PRIVS: Final = 38
MAX_TEXT: Final = 4_000
NEARLY_ALL: Final = 0.85


class Report:
    """Writes messages for the parent, one JSON object a line."""

    def __init__(self, descriptor: int) -> None:
        self._stream = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8")

    def send(self, kind: str, **content: Any) -> None:
        """Write one message; text that is no Unicode is replaced."""
        line = json.dumps({"type": kind, "ms": int(time.time() * 1000), **content})
        self._stream.write(line + "\n")

    def metric(self, key: str, value: float, step: int) -> None:
        """Report a metric."""
        self.send("metric", key=key, value=value, step=step)

    def progress(self, phase: str, share: float) -> None:
        """Report the phase and its share done."""
        self.send("progress", phase=phase, share=share)

    def log(self, level: str, text: str) -> None:
        """Report a log line."""
        self.send("log", level=level, text=text[:MAX_TEXT])


def confine(limits: dict[str, int]) -> None:
    """Bind this process to its limits.

    Parameters
    ----------
    limits : dict
        ``memory_bytes``, ``cpu_seconds``, ``file_bytes``, ``processes``.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for kind, name in (
        (resource.RLIMIT_AS, "memory_bytes"),
        (resource.RLIMIT_CPU, "cpu_seconds"),
        (resource.RLIMIT_FSIZE, "file_bytes"),
        (resource.RLIMIT_NPROC, "processes"),
    ):
        _, hard = resource.getrlimit(kind)
        most = limits[name] if hard == resource.RLIM_INFINITY else min(limits[name], hard)
        resource.setrlimit(kind, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a full file is an error to report, not a death
    os.umask(0o077)
    os.nice(5)  # the parent's heartbeat goes first


def train(request: dict[str, Any], report: Report) -> None:
    """Train as the request says and report the files written."""
    report.progress("load", 0.0)
    from experiments.training import output
    from experiments.training.fit import fit
    from experiments.training.hooks import Hooks
    from experiments.training.load import load
    from experiments.training.spec import validate_spec

    schema = request["schema"]
    spec = validate_spec(request["spec"], schema)
    frame = load(Path(request["data"]), spec)
    report.log("info", f"{len(frame):,} rows and {len(frame.columns)} columns loaded")
    hooks = Hooks(on_metric=report.metric, on_progress=report.progress, on_log=report.log)
    saved = Path(request["split"]) if request.get("split") else None
    trained = fit(spec, frame, schema, hooks=hooks, threads=request["threads"], saved_split=saved)
    report.progress("save", 0.0)
    files = output.write(trained, schema, Path(request["folder"]))
    report.progress("save", 1.0)
    report.send(
        "done",
        files=[{"path": file.path, "media_type": file.media_type, "kind": file.kind} for file in files],
        warnings=list(trained.warnings),
    )


def _report_system(report: Report, error: OSError, limit: int) -> None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        report.send("storage", text=str(error.strerror))
    else:
        _report_defect(report, error, limit)


def _report_defect(report: Report, error: Exception, limit: int) -> None:
    # Native code meets the memory limit in many ways: a thread that cannot start, a failed import.
    if mapped_bytes() > limit * NEARLY_ALL:
        report.send("memory", peak_bytes=peak_bytes())
        return
    report.log("error", traceback.format_exc(limit=-8))
    report.send("defect", text=f"{type(error).__name__}: {error}"[:MAX_TEXT])


def mapped_bytes() -> int:
    """Most address space this process has mapped, in bytes: what the limit counts."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmPeak:")[2].split()[0]) * 1024


def peak_bytes() -> int:
    """Most memory this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(request_file: str) -> int:
    """Run one training; the exit code is 0 when a result or a reason was reported."""
    report = Report(REPORTS)
    request = json.loads(Path(request_file).read_text("utf-8"))
    confine(request["limits"])
    from mlportal.lib.errors import DomainError

    try:
        train(request, report)
    except DomainError as error:
        report.send("refused", code=error.code, text=error.message)
    except MemoryError:
        report.send("memory", peak_bytes=peak_bytes())
    except OSError as error:
        _report_system(report, error, request["limits"]["memory_bytes"])
    except Exception as error:  # noqa: BLE001 - a defect becomes a failed job with its trace in the log
        _report_defect(report, error, request["limits"]["memory_bytes"])
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
