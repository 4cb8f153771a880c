"""Which protocol and which act an address names; ``/p/<project>`` may stand before each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from deployments.serve.protocols.kserve import KserveV1
from deployments.serve.protocols.mlflow import Mlflow
from deployments.serve.protocols.oip import OpenInference
from deployments.serve.protocols.own import Own
from deployments.serve.protocols.shapes import Shape

OWN, OIP, MLFLOW, KSERVE = Own(), OpenInference(), Mlflow(), KserveV1()
MAX_PATH = 1024
PREDICT = "predict"


@dataclass(frozen=True, slots=True)
class Address:
    """A path that was understood.

    Parameters
    ----------
    shape : Shape
        Whose words the answer is in.
    act : str
        ``predict``, or the name of a description; empty when there is nothing here.
    method : str
        The HTTP method it takes.
    project, endpoint, version : str
        Empty when the address does not say.
    """

    shape: Shape
    act: str = ""
    method: str = "GET"
    project: str = ""
    endpoint: str = ""
    version: str = ""


def read(raw: bytes) -> Address:
    """Understand a path without its query; a long one is none, so that what is remembered stays small."""
    return _read(raw) if len(raw) <= MAX_PATH else Address(OWN)


@lru_cache(4096)
def _read(raw: bytes) -> Address:
    parts = [unquote(part.decode("latin-1")) for part in raw.split(b"/")[1:]]
    project = ""
    if len(parts) > 2 and parts[0] == "p":
        project, parts = parts[1], parts[2:]
    return _named(parts, project)


def _named(parts: list[str], project: str) -> Address:
    first = parts[0] if parts else ""
    if first == "v2":
        return _oip(parts[1:], project)
    if first == "v1":
        return _kserve(parts[1:], project)
    if first == "endpoints" and len(parts) == 3:
        if parts[2] == "predict":
            return Address(OWN, PREDICT, "POST", project, parts[1])
        if parts[2] == "invocations":
            return Address(MLFLOW, PREDICT, "POST", project, parts[1])
    if parts == ["invocations"]:
        return Address(MLFLOW, PREDICT, "POST", project)
    if parts[:3] == ["api", "2.0", "endpoints"] and len(parts) <= 4:
        name = parts[3] if len(parts) == 4 else ""
        return Address(MLFLOW, "endpoint" if name else "endpoints", "GET", project, name)
    if len(parts) == 1 and first in _SIMPLE:
        return Address(_SIMPLE[first][0], _SIMPLE[first][1], "GET", project)
    return Address(OWN, project=project)


_SIMPLE: dict[str, tuple[Shape, str]] = {
    "": (KSERVE, "alive"),
    "ping": (MLFLOW, "ping"),
    "health": (MLFLOW, "ping"),
    "version": (MLFLOW, "version"),
    "healthz": (OWN, "healthy"),
    "livez": (OWN, "healthy"),
    "readyz": (OWN, "readyz"),
    "metrics": (OWN, "metrics"),
}
_ASPECTS = {"ready": "model_ready", "config": "model_config", "stats": "model_stats"}


def _oip(parts: list[str], project: str) -> Address:
    if parts in ([], [""]):
        return Address(OIP, "server", "GET", project)
    if parts in (["health", "live"], ["health", "ready"]):
        return Address(OIP, parts[1], "GET", project)
    if parts == ["repository", "index"]:
        return Address(OIP, "index", "POST", project)
    if parts == ["models", "stats"]:
        return Address(OIP, "stats", "GET", project)
    if len(parts) < 2 or parts[0] != "models":
        return Address(OIP, project=project)
    name, rest, version = parts[1], parts[2:], ""
    if len(rest) >= 2 and rest[0] == "versions":
        version, rest = rest[1], rest[2:]
    if not rest:
        return Address(OIP, "model", "GET", project, name, version)
    if rest == ["infer"]:
        return Address(OIP, PREDICT, "POST", project, name, version)
    act = _ASPECTS.get(rest[0], "") if len(rest) == 1 else ""
    return Address(OIP, act, "GET", project, name, version)


def _kserve(parts: list[str], project: str) -> Address:
    if parts == ["models"]:
        return Address(KSERVE, "models", "GET", project)
    if len(parts) == 2 and parts[0] == "models":
        name, colon, verb = parts[1].rpartition(":")
        if not colon:
            return Address(KSERVE, "v1_model", "GET", project, parts[1])
        if verb == "predict":
            return Address(KSERVE, PREDICT, "POST", project, name)
    return Address(KSERVE, project=project)
