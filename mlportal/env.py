"""Typed readers of the process environment and of the secret files beside the data."""

import hashlib
import os
import secrets
import stat
import tempfile
from pathlib import Path

import environ

environment = environ.Env()


def data_dir() -> Path:
    """Folder that holds everything a running portal writes: database, blobs, spool, secrets."""
    default = Path(__file__).resolve().parent.parent / "data"
    folder = Path(environment.str("MLPORTAL_DATA_DIR", default=str(default))).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def secret(name: str, folder: Path) -> str:
    """Read a secret from ``MLPORTAL_<NAME>``, else from a 0600 file that is created on first use.

    A secret never has a default in the code, so two installations never share one.
    """
    given = os.environ.get(f"MLPORTAL_{name.upper()}")
    if given:
        if len(given) < 32:
            raise RuntimeError(f"MLPORTAL_{name.upper()} has {len(given)} characters; at least 32 are needed.")
        return given
    place = folder / "secrets" / name
    place.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_private(place)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secrets.token_urlsafe(48))
        stream.flush()
        os.fsync(stream.fileno())
    return _read_private(place)


def given_secret(name: str) -> str:
    """Read a secret that an operator was given from ``MLPORTAL_<NAME>``, else from the 0600 file ``..._FILE`` names."""
    variable = f"MLPORTAL_{name.upper()}"
    if given := os.environ.get(variable):
        return given
    place = os.environ.get(f"{variable}_FILE", "")
    if not place:
        return ""
    if Path(place).stat().st_mode & 0o077:
        raise RuntimeError(f"{place} is readable by others; run: chmod 600 {place}")
    return Path(place).read_text().strip()


def _read_private(place: Path) -> str:
    if place.stat().st_mode & 0o077:
        raise RuntimeError(f"{place} is readable by others; run: chmod 600 {place}")
    for _attempt in range(100):  # another process may be between create and write
        text = place.read_text()
        if len(text) >= 32:
            return text
    raise RuntimeError(f"{place} holds no secret; remove it and start again.")


def socket_path(folder: Path) -> Path:
    """Socket of the embedded broker: beside the data, or in the temporary folder when that path is too long.

    The system takes at most 107 bytes. The short path depends on the data folder alone, so every
    process of this user finds the same one.
    """
    beside = folder / "run" / "broker.sock"
    if len(os.fsencode(beside)) <= 100:
        return beside
    short = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    private = Path(tempfile.gettempdir()) / f"mlportal-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    found = private.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise RuntimeError(f"{private} is not a private folder of this user; set MLPORTAL_BROKER_SOCKET.")
    return private / f"{short}.sock"
