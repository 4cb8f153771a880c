"""Take each rule of four eyes away in a copy and expect its tests to go red: scripts/mutants.py [E1 ...]."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.house.rules import RULES, Rule  # noqa: E402 - the folder above is not on the path before


def copy(target: Path) -> None:
    """Copy what git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place)


def survives(folder: Path, name: str, rule: Rule) -> bool:
    """Whether the tests of a rule stay green without it."""
    path = folder / rule.file
    whole = path.read_text()
    path.write_text(whole.replace(rule.line, rule.without))
    words = ["--sqlite", rule.tests, "-q", "-x", "-p", "no:randomly", "-k", f"_{name.lower()}_"]
    try:
        # 1: tests failed. Anything else, a syntax error or no test at all, is no proof.
        ended = subprocess.run(
            [sys.executable, "scripts/run_tests.py", *words], cwd=folder, capture_output=True, check=False
        )
    finally:
        path.write_text(whole)
    return ended.returncode != 1


def main(wanted: list[str]) -> int:
    """Try every rule, or the named ones; gives 1 when one of them can be removed unseen."""
    os.environ["PYTHON"] = sys.executable
    left = []
    with tempfile.TemporaryDirectory() as folder:
        copy(Path(folder))
        for name in wanted or RULES:
            alive = survives(Path(folder), name, RULES[name])
            print(f"{name}: {'NOT MISSED by its tests' if alive else 'missed, as it should be'}", flush=True)
            left += [name] if alive else []
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
