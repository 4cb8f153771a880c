"""Check a certificate of reproduction: python certificate_verify.py CERTIFICATE.json [PUBLIC-KEY.pem]

Exit codes: 0 intact, 1 altered, or another key signed it, 4 unreadable.
Needs Python 3.9 and the package cryptography.
"""

import base64
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def plain(value):  # numbers are signed as text, so that 1 and 1.0 are one
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"number": str(int(value)) if value == int(value) else repr(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


try:
    whole = json.load(open(sys.argv[1], encoding="utf-8"))
    pem = open(sys.argv[2], "rb").read() if len(sys.argv) > 2 else whole["key"].encode()
    found = whole["certificate"]
    text = json.dumps(plain(found), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    load_pem_public_key(pem).verify(
        base64.b64decode(whole["signature"]), b"mlportal reproduction certificate v1\n" + text
    )
    code, words = 0, f"{found['model']} v{found['version']}: {found['verdict']}, signed by key {whole['signed_by']}"
except InvalidSignature:
    code, words = 1, "the certificate was altered, or another key signed it"
except Exception as error:
    code, words = 4, f"cannot read: {error}"
print(words)
sys.exit(code)
