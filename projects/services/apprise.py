"""Send a message through Apprise, in a child process that may reach public addresses only (see ADR 0059)."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from mlportal.lib import lease
from mlportal.lib.errors import Invalid

SECONDS = 30
SHAPE = re.compile(r"[a-z][a-z0-9+.-]{1,30}://[^\s]{1,1900}", re.IGNORECASE)
KEPT = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


def check(url: str) -> str:
    """Check the form of an Apprise address, such as ``tgram://token/chat``; gives what may be shown of it.

    Raises
    ------
    Invalid
        When it has no scheme, or is one of this machine.
    """
    from mlportal.lib.apprise_child import LOCAL

    if not SHAPE.fullmatch(url):
        raise Invalid("url must be an address that Apprise knows, such as tgram://token/chat.", field="url")
    scheme = url.partition("://")[0].lower()
    if scheme in LOCAL:
        raise Invalid(f"{scheme}:// stays on this machine or is not supported.", field="url", got=scheme)
    return f"{scheme}://…"


def send(url: str, *, title: str, body: str, allow: Sequence[str] = ()) -> dict[str, Any]:
    """Send one message. Returns nothing, or the ``fault``; the address never shows in the list of processes."""
    task = json.dumps({"url": url, "title": title, "body": body, "allow": list(allow)})
    environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "HOME": "/nonexistent",
    }  # fmt: skip
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mlportal.lib.apprise_child"],
            input=task, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"fault": f"no answer within {SECONDS} s"}
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return {
            "fault": lease.scrub(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no answer")[:300]
        }
    return {} if told["sent"] else {"fault": str(told["fault"])[:300]}
