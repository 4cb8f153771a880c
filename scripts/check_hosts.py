"""Check that no tracked file names the address of a package registry.

Whoever installs decides where packages come from; the hashes decide what they are.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOSTS = ("pypi.org", "pythonhosted.org", "npmjs.org", "npmjs.com", "yarnpkg.com", "jsdelivr.net")
PATTERN = re.compile(rb"://[\w.-]*(" + "|".join(map(re.escape, HOSTS)).encode() + rb")")


def tracked() -> list[Path]:
    """Return the files git knows."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    return [ROOT / name for name in names.stdout.decode().split("\0") if name]


def main() -> int:
    """Print each hit; fail when there is one."""
    hits = [path for path in tracked() if path.is_file() and PATTERN.search(path.read_bytes())]
    for path in hits:
        print(f"{path.relative_to(ROOT)} names a package registry", file=sys.stderr)
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(main())
