"""Where the command keeps the address and the token of a portal.

``MLPORTAL_URL``, ``MLPORTAL_TOKEN`` and ``MLPORTAL_PROJECT`` stand over the file, so that CI needs no file.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from mlportal.cli.errors import FORBIDDEN, Failure


@dataclass(frozen=True)
class Credentials:
    """What a command needs to talk to a portal."""

    url: str
    token: str
    project: str


def path() -> Path:
    """Return the file; it is readable by its owner only."""
    given = os.environ.get("MLPORTAL_CREDENTIALS")
    if given:
        return Path(given)
    folder = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(folder) / "mlportal" / "credentials.json"


def load(project: str = "") -> Credentials:
    """Read them; fail with what to do when they are missing."""
    stored = _stored()
    url = os.environ.get("MLPORTAL_URL") or stored.get("url", "")
    token = os.environ.get("MLPORTAL_TOKEN") or stored.get("token", "")
    if not url or not token:
        raise Failure("not signed in: run `mlportal login URL --token TOKEN`, or set MLPORTAL_URL and MLPORTAL_TOKEN",
                      FORBIDDEN)  # fmt: skip
    chosen = project or os.environ.get("MLPORTAL_PROJECT") or stored.get("project", "")
    return Credentials(url.rstrip("/"), token, chosen)


def _stored() -> dict[str, str]:
    try:
        return dict(json.loads(path().read_text()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError):
        raise Failure(f"{path()} is damaged: remove it and run `mlportal login` again", FORBIDDEN) from None


def save(given: Credentials) -> Path:
    """Write them to the file and return its path."""
    place = path()
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps({"url": given.url, "token": given.token, "project": given.project}, indent=2)
    fresh = place.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text + "\n")
    fresh.replace(place)
    return place
