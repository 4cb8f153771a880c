"""Files for people outside: a zip with a manifest of hashes, signed with the key of the installation."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from mlportal.lib import chain, signing
from projects.services import anchors


def pack(files: Mapping[str, bytes], about: Mapping[str, Any], *, domain: bytes) -> bytes:
    """Return a zip of the files with ``manifest.json`` (sha256 of each), ``manifest.sig`` and ``public-key.pem``.

    Parameters
    ----------
    about
        Facts for the manifest.
    domain
        What the signature is for, so that it fits nothing else.
    """
    ring = anchors.keyring()
    manifest = {**about, "files": {name: chain.digest(body) for name, body in files.items()}, "key": ring.key_id}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
        archive.writestr("manifest.json", json.dumps(manifest, indent=2, sort_keys=True))
        archive.writestr("manifest.sig", signing.sign(ring, domain, chain.canonical(manifest)))
        archive.writestr("public-key.pem", signing.public_pem(ring, ring.key_id))
    return out.getvalue()
