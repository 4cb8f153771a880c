"""Read the ``MLmodel`` file that a client logs beside a model: data of a stranger, never code.

The text is YAML. It is read with the safe loader only, up to a size, and without YAML's references, which a few
bytes could blow up to gigabytes.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

FILE = "MLmodel"
MAX_BYTES = 2**20
MAX_COLUMNS = 10_000
MAX_FLAVORS = 20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KINDS = {
    "boolean": "boolean", "integer": "integer", "long": "integer", "float": "numeric", "double": "numeric",
    "string": "categorical", "datetime": "datetime",
}  # fmt: skip
_ARRAYS = {
    "bool": "boolean", "int": "integer", "uint": "integer", "float": "numeric", "str": "categorical",
    "object": "categorical",
}  # fmt: skip
UNNAMED = "prediction"


@dataclass(frozen=True)
class Description:
    """What an MLmodel file says; a column without a name is ``prediction``.

    Parameters
    ----------
    flavors
        Name of each flavor and the version of its library, empty when it names none.
    inputs, outputs
        Columns ``{"name", "kind", "nullable"}`` in the words of our signatures; empty for tensors.
    python
        Version of Python, empty when it is not given.
    """

    flavors: dict[str, str] = field(default_factory=dict)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    python: str = ""

    @property
    def signature(self) -> dict[str, Any]:
        """Return the schema as a version keeps it."""
        return {"task": "", "target": "", "inputs": self.inputs, "outputs": self.outputs}


def read(content: bytes) -> Description:
    """Read an MLmodel file; what cannot be read gives an empty description, since the file is only a label."""
    document = _document(content)
    flavors = document.get("flavors")
    named = list(flavors.items())[:MAX_FLAVORS] if isinstance(flavors, dict) else []
    signature = document.get("signature")
    rows = signature if isinstance(signature, dict) else {}
    return Description(
        flavors={str(name)[:100]: _version(str(name), about) for name, about in named},
        inputs=_columns(rows.get("inputs")),
        outputs=_answers(rows.get("outputs")),
        python=_python(dict(named)),
    )


def _document(content: bytes) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        return {}
    try:
        text = content.decode()
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_LOADER)):
            return {}
        found = _LOADER(text).get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _version(name: str, about: object) -> str:
    values = about if isinstance(about, dict) else {}
    found = values.get(f"{name}_version") or values.get("version") or values.get("loader_module") or ""
    return str(found)[:100]


def _python(flavors: dict[str, Any]) -> str:
    about = flavors.get("python_function")
    return str(about.get("python_version", ""))[:20] if isinstance(about, dict) else ""


def _columns(text: object) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text) if isinstance(text, str) else []
    except (ValueError, RecursionError):
        return []
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_COLUMNS:
        return []
    found = [_column(row) for row in rows]
    return found if all(found) else []


def _column(row: object) -> dict[str, Any]:
    if not isinstance(row, dict):
        return {}
    given = row.get("type")
    kind = _KINDS.get(given) if isinstance(given, str) else None
    if kind is None:
        return {}
    name = row.get("name") or UNNAMED
    return {"name": str(name)[:250], "kind": kind, "nullable": row.get("required") is False}


def _answers(text: object) -> list[dict[str, Any]]:
    """Read the outputs: columns, or the one unnamed array that most models answer with."""
    found = _columns(text)
    if found:
        return found
    try:
        (row,) = json.loads(text) if isinstance(text, str) else []
        kind = _ARRAYS[re.sub(r"\d", "", row["tensor-spec"]["dtype"])]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [{"name": UNNAMED, "kind": kind, "nullable": False}]
