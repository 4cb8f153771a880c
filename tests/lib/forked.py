"""A program for tests of children: does what its first argument says."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def look() -> None:
    """Tell what a child sees of the world."""
    import numpy as np

    found = {
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "arguments": sys.argv[1:],
        "given": sys.stdin.read(),
        "open": sorted(int(one.name) for one in Path("/proc/self/fd").iterdir() if one.exists()),
        "leads": os.getsid(0) == os.getpid(),
        "drawn": float(np.random.random()),
    }
    print(json.dumps(found))


def say() -> None:
    """Write to the descriptor behind the standard ones."""
    os.write(3, b"here")


def stay() -> None:
    """Start another process, tell of both, and go on for long."""
    other = subprocess.Popen(["sleep", "600"])
    print(json.dumps([os.getpid(), other.pid]))
    time.sleep(600)


def refuse() -> None:
    """End with a sentence."""
    sys.exit("no, thank you")


def fail() -> None:
    """End by a defect."""
    raise ValueError("a defect")


if __name__ == "__main__":
    {"look": look, "say": say, "stay": stay, "refuse": refuse, "fail": fail}[sys.argv[1]]()
