"""Where the files of runs and logged models are shown."""

from __future__ import annotations

from urllib.parse import quote

from django.urls import reverse

from experiments.models import Run
from experiments.queries import files


class Place:
    """Addresses of the files of one run or logged model."""

    def __init__(self, owner: files.Owner, slug: str) -> None:
        self.owner = owner
        self.is_run = isinstance(owner, Run)
        stem, key = ("artifact", owner.pk) if isinstance(owner, Run) else ("logged-model-file", owner.uuid)
        self.top = reverse(f"experiments:{stem}-list", args=[slug, key])
        # Labels may hold anything; only slashes stay as they are.
        self._zip = reverse(f"experiments:{stem}-zip", args=[slug, key])
        self._raw_top = reverse(f"experiments:{stem}-raw", args=[slug, key, "x"])[:-1]

    def show(self, path: str) -> str:
        """Page of a file."""
        return f"{self.top}{quote(path)}"

    def folder(self, path: str) -> str:
        """Page of a folder; "" is the top."""
        return f"{self.top}{quote(path)}/" if path else self.top

    def zip(self, path: str) -> str:
        """All files below a folder as one zip."""
        return f"{self._zip}?folder={quote(path, safe='')}" if path else self._zip

    def raw(self, path: str) -> str:
        """Bytes of a file."""
        return f"{self._raw_top}{quote(path)}"

    def image(self, path: str) -> str:
        """Bytes of a file as an image of a page."""
        return f"{self.raw(path)}?as=image"
