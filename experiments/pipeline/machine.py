"""What a training and its machine use, read from the kernel: names and units as tracking clients log them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from mlportal.lib import disks

MEGABYTE = 10**6
SECTOR_BYTES = 512
GPU_SECONDS = 2.0
_GPU = ("utilization.gpu", "memory.used", "memory.total", "power.draw")
_GPU_NAMES = ("utilization_percentage", "memory_usage_megabytes", "memory_total_megabytes", "power_usage_watts")


class Machine:
    """Reads how busy this machine and one process group leader are, since the last reading.

    Parameters
    ----------
    pid : int
        The training process.
    folder : pathlib.Path
        A folder on the disk that the training writes to.
    """

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid, self._folder = pid, folder
        self._gpu = shutil.which("nvidia-smi")
        self._cpu, self._process, self._disk, self._at = _cpu_ticks(), _process_ticks(pid), _disk_bytes(), _now()

    def read(self) -> dict[str, float]:
        """Return the values now; what the kernel does not tell is left out."""
        cpu, process, disk, at = _cpu_ticks(), _process_ticks(self._pid), _disk_bytes(), _now()
        passed = max(at - self._at, 1e-6)
        out = {**_share(self._cpu, cpu), **_memory(), **_space(self._folder), **self._gpus()}
        if process is not None and self._process is not None:
            ticks = os.sysconf("SC_CLK_TCK")
            out["process_cpu_percentage"] = 100 * (process[0] - self._process[0]) / ticks / passed
            out["process_memory_megabytes"] = process[1] / MEGABYTE
        if disk is not None and self._disk is not None:
            for name, now, before in zip(("read", "written"), disk, self._disk, strict=True):
                out[f"disk_{name}_megabytes_per_second"] = max(0, now - before) / MEGABYTE / passed
        self._cpu, self._process, self._disk, self._at = cpu, process, disk, at
        return {f"system/{name}": round(value, 3) for name, value in out.items()}

    def _gpus(self) -> dict[str, float]:
        if self._gpu is None:
            return {}
        asked = [self._gpu, f"--query-gpu={','.join(_GPU)}", "--format=csv,noheader,nounits"]
        try:
            told = subprocess.run(asked, capture_output=True, text=True, timeout=GPU_SECONDS, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            self._gpu = None  # a driver that does not answer would slow every reading
            return {}
        return gpu_values(told)


def gpu_values(told: str) -> dict[str, float]:
    """Read what ``nvidia-smi`` printed: one card a line, values in the order that was asked for."""
    out: dict[str, float] = {}
    for card, line in enumerate(told.strip().splitlines()):
        for name, word in zip(_GPU_NAMES, line.split(","), strict=False):
            try:
                out[f"gpu_{card}_{name}"] = float(word)
            except ValueError:
                continue  # "[N/A]": this card does not tell
    return out


def _now() -> float:
    return time.monotonic()


def _cpu_ticks() -> tuple[int, int]:
    """Return (busy, all) ticks of all cores since the start of the machine."""
    words = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return sum(words) - words[3] - words[4], sum(words)


def _share(before: tuple[int, int], now: tuple[int, int]) -> dict[str, float]:
    passed = now[1] - before[1]
    return {"cpu_utilization_percentage": 100 * (now[0] - before[0]) / passed} if passed > 0 else {}


def _memory() -> dict[str, float]:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    told = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}
    used = told["MemTotal"] - told["MemAvailable"]
    return {
        "system_memory_usage_percentage": 100 * used / told["MemTotal"],
        "system_memory_usage_megabytes": used / MEGABYTE,
    }


def _space(folder: Path) -> dict[str, float]:
    room = disks.room(folder)
    return {"disk_usage_percentage": 100 * room.share, "disk_available_megabytes": room.free / MEGABYTE}


def _process_ticks(pid: int) -> tuple[int, int] | None:
    """Return (processor ticks, resident bytes) of a process, None once it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(words[11]) + int(words[12]), int(words[21]) * os.sysconf("SC_PAGE_SIZE")


def _disk_bytes() -> tuple[int, int] | None:
    """Return bytes read from and written to whole disks, None where the kernel does not tell."""
    try:
        lines = [line.split() for line in Path("/proc/diskstats").read_text().splitlines()]
    except OSError:
        return None
    whole = [words for words in lines if len(words) > 9 and Path(f"/sys/block/{words[2]}/device").exists()]
    if not whole:
        return None
    read, written = (sum(int(words[at]) for words in whole) for at in (5, 9))
    return read * SECTOR_BYTES, written * SECTOR_BYTES
