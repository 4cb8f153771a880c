"""Packages that runs were made with, from files stored with them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from django.db.models import Q

from experiments.models import Artifact
from mlportal.lib import blobs
from mlportal.lib.errors import DomainError

MOST_BYTES = 2**18
MOST_FILES = 200
MOST_ROWS = 5000
MOST_PACKAGES = 400
# Later ones win: what pip froze is exact, what conda was asked for may be a range.
ENDINGS = ("conda.yaml", "requirements.txt", "environment.json")
_PINNED = re.compile(r"^\s*-?\s*([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*(={1,3}|~=|>=|<=|<|>)\s*([^\s;#,]+)")


def packages_of(run_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """Versions by package of each run, by one query and a read of each file that is not the same as another."""
    asked = Q()
    for ending in ENDINGS:
        asked |= Q(path=ending) | Q(path__endswith=f"/{ending}")
    files = Artifact.objects.filter(asked, run__in=list(run_ids), size_bytes__lte=MOST_BYTES)
    found: dict[int, dict[str, str]] = {pk: {} for pk in run_ids}
    rows = files.order_by("run_id", "path").values_list("run_id", "path", "sha256")[:MOST_ROWS]
    texts: dict[tuple[str, str], dict[str, str]] = {}
    for run_id, path, sha256 in sorted(rows, key=lambda r: _kind(r[1])):
        key = (ENDINGS[_kind(path)], sha256)
        if key not in texts and len(texts) < MOST_FILES:
            texts[key] = _stored(path, sha256)
        found[run_id].update(texts.get(key, {}))
    return found


def _kind(path: str) -> int:
    return next(at for at, ending in enumerate(ENDINGS) if path.endswith(ending))


def _stored(path: str, sha256: str) -> dict[str, str]:
    try:
        return read(path, blobs.read_bytes(sha256, limit_bytes=MOST_BYTES).decode("utf-8", "replace"))
    except (DomainError, OSError):
        return {}  # a lost file is told where files are shown


def read(path: str, text: str) -> dict[str, str]:
    """Versions by package, names folded as Python folds them; what cannot be read is left out.

    Parameters
    ----------
    path : str
        Its ending says the form: ``environment.json``, ``requirements.txt`` or ``conda.yaml``.
    """
    if path.endswith(".json"):
        return _of_json(text)
    pairs = [m.groups() for line in text.splitlines()[:2000] if (m := _PINNED.match(line))]
    found = [(_folded(name), v if sign.startswith("=") else f"{sign}{v}") for name, sign, v in pairs]
    return dict(found[:MOST_PACKAGES])


def _of_json(text: str) -> dict[str, str]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    libraries = told.get("libraries", told.get("packages", {}))
    pairs = list(libraries.items())[:MOST_PACKAGES] if isinstance(libraries, dict) else []
    python = [("python", told["python"])] if isinstance(told.get("python"), str) else []
    return {_folded(str(name)): v for name, v in [*python, *pairs] if isinstance(v, str)}


def _folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
