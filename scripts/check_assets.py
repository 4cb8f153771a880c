"""Check that every vendored file is the one its manifest lists."""

import hashlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ["static/vendor", "tests/e2e/vendor", "mlportal/lib/fonts"]


def problems(folder: Path) -> list[str]:
    """Return a sentence for each file that is changed, missing, unlisted or unlicensed."""
    rows = json.loads((folder / "MANIFEST.json").read_text())
    found = [problem for row in rows for problem in row_problems(folder, row)]
    listed = {row["file"] for row in rows} | {row["licence_file"] for row in rows}
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    unlisted = present - listed - {"MANIFEST.json"}
    return found + [f"{folder.name}/{name} is not in MANIFEST.json" for name in sorted(unlisted)]


def row_problems(folder: Path, row: dict[str, str]) -> list[str]:
    """Return what is wrong with one row of a manifest."""
    file, found = folder / row["file"], []
    if not file.is_file():
        return [f"{folder.name}/{row['file']} is missing"]
    if hashlib.sha256(file.read_bytes()).hexdigest() != row["sha256"]:
        found.append(f"{folder.name}/{row['file']} differs from its sha256 in MANIFEST.json")
    if not (folder / row["licence_file"]).is_file():
        found.append(f"{folder.name}/{row['file']} has no licence text")
    if not row["licence"] or not row["version"]:
        found.append(f"{folder.name}/{row['file']} names no licence or no version")
    return found


def main() -> int:
    """Print all problems; fail when there is one."""
    found = [problem for name in FOLDERS for problem in problems(ROOT / name)]
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
