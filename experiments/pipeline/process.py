"""Starts the training process, hears it, and ends it with everything it started."""

import json
import os
import resource
import selectors
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from mlportal.lib import forks

READ_BYTES = 1 << 20
MAX_MESSAGE = 1 << 20
PRELOAD = ("experiments.training.fit", "experiments.training.load", "experiments.training.output")

Message = dict[str, Any]


class Child:
    """A running training process in its own session.

    Parameters
    ----------
    request : dict
        What the process reads; see `experiments.training.child`.
    folder : pathlib.Path
        Its working, home and temporary folder.
    """

    def __init__(self, request: Message, folder: Path) -> None:
        file = folder / "request.json"
        file.write_text(json.dumps(request), "utf-8")
        (reports, reporting), (prints, printing) = os.pipe(), os.pipe()
        try:
            self._fork = forks.start(
                "experiments.training.child",
                str(file),
                folder=folder,
                environment=_environment(folder, int(request["threads"])),
                preload=PRELOAD,
                stdout=printing,
                stderr=printing,
                also=[reporting],
            )
        except OSError:
            os.close(reports)
            os.close(prints)
            raise
        finally:
            os.close(reporting)
            os.close(printing)
        self._reports, self._prints = _Lines(reports), _Lines(prints)
        self._selector = selectors.DefaultSelector()
        for lines in (self._reports, self._prints):
            self._selector.register(lines.descriptor, selectors.EVENT_READ, lines)

    @property
    def pid(self) -> int | None:
        """Process id, which is also the id of its group; None until it is forked."""
        return self._fork.pid

    def hear(self, seconds: float) -> Iterator[Message]:
        """Yield what it said within `seconds`; lines it printed come as log messages."""
        self._fork.poll()
        for key, _ in self._selector.select(seconds):
            lines: _Lines = key.data
            if not lines.fill():
                self._selector.unregister(lines.descriptor)
            for line in lines.whole():
                message = _message(line) if lines is self._reports else _printed(line)
                if message is not None:
                    yield message

    @property
    def silent(self) -> bool:
        """Whether both pipes are closed: nothing more will come."""
        return not self._selector.get_map()

    def wait(self, seconds: float) -> int:
        """Wait for its own end and return the exit code; `subprocess.TimeoutExpired` after `seconds`."""
        return self._fork.wait(seconds)

    def end(self) -> int:
        """Kill the whole group, reap, and return the exit code (negative: a signal)."""
        code = self._fork.end()
        self._selector.close()
        os.close(self._reports.descriptor)
        os.close(self._prints.descriptor)
        return code

    def usage(self) -> dict[str, float]:
        """Return memory and processor time now; empty once the process is gone."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
            times = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return {}
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        if "VmRSS" not in fields:  # a zombie holds no memory
            return {}
        ticks = int(times[11]) + int(times[12])
        return {
            "memory_bytes": int(fields["VmRSS"].split()[0]) * 1024,
            "peak_bytes": int(fields["VmHWM"].split()[0]) * 1024,
            "cpu_seconds": round(ticks / os.sysconf("SC_CLK_TCK"), 2),
        }


class _Lines:
    """Splits what a descriptor gives into lines with bounded memory."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._buffer = b""
        os.set_blocking(descriptor, False)

    def fill(self) -> bool:
        """Read what is there; false at the end."""
        try:
            part = os.read(self.descriptor, READ_BYTES)
        except BlockingIOError:
            return True
        self._buffer = (self._buffer + part)[-MAX_MESSAGE * 2 :]
        if not part and self._buffer and not self._buffer.endswith(b"\n"):
            self._buffer += b"\n"
        return bool(part)

    def whole(self) -> list[str]:
        """Take the complete lines; a line over the limit is cut."""
        *lines, rest = self._buffer.split(b"\n")
        if len(rest) > MAX_MESSAGE:
            lines, rest = [*lines, rest], b""
        self._buffer = rest
        return [line[:MAX_MESSAGE].decode("utf-8", "replace") for line in lines]


def _message(line: str) -> Message | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _printed(line: str) -> Message:
    return {"type": "log", "ms": int(time.time() * 1000), "level": "info", "text": line[:4000]}


def _environment(folder: Path, threads: int) -> dict[str, str]:
    """Nothing of the portal's environment: no secret, no database address."""
    tests = {key: os.environ[key] for key in ("MLPORTAL_TESTING", "MLPORTAL_FAILPOINT") if key in os.environ}
    own = {"JOBLIB_TEMP_FOLDER": str(folder), **(tests if settings.TESTING else {})}
    return forks.bare_environment(folder, threads=threads) | own


def limits_of(asked: dict[str, int], threads: int) -> dict[str, int]:
    """Return the kernel's limits for a job's own limits."""
    _, processes = resource.getrlimit(resource.RLIMIT_NPROC)
    most = settings.TRAINING_PROCESSES
    return {
        "memory_bytes": asked["memory_mb"] * 2**20,
        "cpu_seconds": asked["wall_seconds"] * max(threads, 1) + 60,
        "file_bytes": settings.TRAINING_FILE_MB * 2**20,
        "processes": most if processes == resource.RLIM_INFINITY else min(most, processes),
    }
