"""A certificate of reproduction: what was trained again, what came out, every difference by name, one verdict.

The certificate is signed as a whole and can be checked with nothing but the public key:
``docs/reference/certificate_verify.py``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from deployments.proof import canonical
from deployments.proof.package import ALTERED, INTACT, MISMATCH, UNREADABLE, Verdict
from mlportal.lib import signing
from mlportal.lib.signing import Keyring

FORMAT: Final = "mlportal-reproduction-1"
DOMAIN: Final = b"mlportal reproduction certificate v1\n"
REPRODUCED, WITHIN, NOT = "reproduced", "within_tolerance", "not_reproduced"
MAX_BYTES: Final = 16 * 2**20
NOT_COMPARED: Final = ("model/environment.json",)  # told package by package instead
Json = dict[str, Any]


def environments(recorded: Mapping[str, Any], again: Mapping[str, Any]) -> list[Json]:
    """Name what differs between two recorded environments: Python, packages, machine.

    Returns
    -------
    list of dict
        ``{"part", "recorded", "again"}``; None where one side has nothing.
    """
    before, after = _flat(recorded), _flat(again)
    return [difference(name, before.get(name), after.get(name)) for name in sorted({*before, *after})
            if before.get(name) != after.get(name)]  # fmt: skip


def difference(part: str, recorded: object, again: object) -> Json:
    """Return one difference, in words."""
    return {"part": part, "recorded": _word(recorded), "again": _word(again)}


def files(recorded: Mapping[str, str], again: Mapping[str, str]) -> list[Json]:
    """Compare files by the hash of their content.

    Parameters
    ----------
    recorded, again
        sha256 by path; of a model file that of what it holds, see :func:`mlportal.lib.modelfile.content_sha256`.
    """
    paths = sorted({*recorded, *again} - set(NOT_COMPARED))
    return [
        {
            "path": path, "recorded": recorded.get(path), "again": again.get(path),
            "same": recorded.get(path) == again.get(path),
        }
        for path in paths
    ]  # fmt: skip


def metrics(recorded: Mapping[str, float], again: Mapping[str, float], tolerance: float) -> list[Json]:
    """Compare metrics: each may differ by a share of its recorded value."""
    rows = []
    for key in sorted(recorded):
        other = again.get(key)
        gap = None if other is None else abs(other - recorded[key])
        within = gap is not None and gap <= tolerance * abs(recorded[key])
        rows.append({"metric": key, "recorded": recorded[key], "again": other, "difference": gap, "within": within})
    return rows


def judge(found: Json) -> str:
    """Return the verdict over the parts ``failure``, ``files``, ``metrics`` and ``predictions``.

    Reproduced: every file holds the same and no metric and no prediction differs. Within tolerance: metrics and
    predictions stay within theirs, whatever the bytes. Without predictions to compare there is no good verdict.
    """
    answers = found["predictions"]
    if found["failure"] or answers is None or not found["metrics"]:
        return NOT
    gaps = [row["difference"] for row in found["metrics"]]
    same = all(row["same"] for row in found["files"]) and not any(gap is None or gap for gap in gaps)
    if same and not answers["max_difference"]:
        return REPRODUCED
    return WITHIN if answers["within"] and all(row["within"] for row in found["metrics"]) else NOT


def digest(document: Json) -> str:
    """Return the sha256 of a certificate."""
    return canonical.digest(document)


def sign(ring: Keyring, document: Json) -> str:
    """Sign a certificate; the 64-byte signature in base64."""
    return signing.sign(ring, DOMAIN, canonical.encode(document))


def is_signed(ring: Keyring, document: Json, *, signature: str, signed_by: str) -> bool:
    """Tell whether a known key signed exactly this document."""
    return signing.verify(ring, DOMAIN, canonical.encode(document), signature=signature, signed_by=signed_by)


def verify(path: Path, *, ring: Keyring | None = None) -> Verdict:
    """Check a certificate in a file, without the portal.

    Parameters
    ----------
    ring
        Keys that may have signed; by default the one in the file, which shows damage but not who signed.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            return Verdict(UNREADABLE, f"Cannot read: the file is over {MAX_BYTES:,} bytes.")
        whole = json.loads(path.read_bytes())
        document, key = whole["certificate"], str(whole["signed_by"])
        if document["format"] != FORMAT:
            return Verdict(UNREADABLE, f"The format {document['format']!r} is not {FORMAT}.")
        keys = ring or signing.public_ring(str(whole["key"]).encode())
        if key not in keys.publics:
            return Verdict(MISMATCH, f"It is signed by key {key}, not by {', '.join(keys.publics)}.", "signed_by")
        if not is_signed(keys, document, signature=str(whole["signature"]), signed_by=key):
            return Verdict(ALTERED, "The certificate was altered after it was signed.", "certificate")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Verdict(UNREADABLE, f"Cannot read: {type(error).__name__}: {error}")
    known = "the key that was given" if ring else "the key in the file; compare it with the portal's"
    name = f"{document['model']} v{document['version']}"
    words = f"The certificate of {name} is intact: {document['verdict'].replace('_', ' ')}, signed by {key}, {known}."
    return Verdict(INTACT, words, key=key)


def _flat(environment: Mapping[str, Any]) -> dict[str, object]:
    """Return an environment as one level of named values; the packages say what the libraries say again."""
    out: dict[str, object] = {}
    for name, value in environment.items():
        if not isinstance(value, Mapping):
            out[name] = value
        elif name != "libraries" or "packages" not in environment:
            word = {"packages": "package", "libraries": "package"}.get(name, name)
            out |= {f"{word} {key}": item for key, item in value.items()}
    return out


def _word(value: object) -> str | None:
    if value is None:
        return None
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
