"""The seal of a promotion request: one hash over everything the approver was shown."""

import hashlib
import json

from deployments.proof import canonical

FORMAT = "mlportal-seal-1"
PARTS = (
    "model",
    "version",
    "manifest_sha256",
    "dataset_sha256",
    "metrics",
    "gates",
    "results",
    "policy",
    "card",
    "environment",
    "endpoint",
    "use",
)
LATER = ("card", "use")  # parts that requests of an earlier release were sealed without


def snapshot(parts: dict[str, canonical.Plain]) -> str:
    """Write the sealed parts as one canonical text.

    Parameters
    ----------
    parts
        Exactly the names of :data:`PARTS`.

    Returns
    -------
    str
        Canonical JSON, the input of :func:`compute`.

    Raises
    ------
    ValueError
        When a part is missing or unknown, which is a mistake of the caller.
    """
    if set(parts) != set(PARTS):
        raise ValueError(f"a seal covers {sorted(PARTS)}, not {sorted(parts)}")
    return canonical.encode({"format": FORMAT, **parts}).decode()


def compute(text: str) -> str:
    """Return the seal of a snapshot: its sha256 as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def changed(old: str, new: str) -> list[str]:
    """Name the parts that differ between two snapshots, in the order of :data:`PARTS`.

    A snapshot made before the card or the purpose became a part says nothing of them, and neither overtakes it.
    """
    before, after = json.loads(old), json.loads(new)
    known = [name for name in PARTS if name not in LATER or name in before]
    return [name for name in known if before.get(name) != after.get(name)]
