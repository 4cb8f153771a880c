"""Keys that MLflow takes, made of the names of other tools."""

from __future__ import annotations

import re

MAX_KEY = 250


def clean_key(name: str) -> str:
    """Return a name that MLflow takes as a key: other characters become underscores, parts are never dots only."""
    text = re.sub(r"[^/\w.\- :]", "_", name)
    parts = [part for part in text.split("/") if part.strip(".")]
    return "/".join(parts)[:MAX_KEY].rstrip("/") or "_"


class Names:
    """The keys of one run; two names that become the same key are told apart by a number."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, name: str) -> str:
        """Return the key for a name."""
        if name not in self._names:
            key, count = clean_key(name), 1
            while key in self._taken:
                count += 1
                key = f"{clean_key(name)[: MAX_KEY - 10]}_{count}"
            self._taken.add(key)
            self._names[name] = key
        return self._names[name]
