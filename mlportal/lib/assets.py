"""Storage of the collected static files: hashed names for ever-cacheable answers, also inside our modules."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import HashedFilesMixin
from django.core.files.base import ContentFile
from whitenoise.storage import CompressedManifestStaticFilesStorage

from mlportal.lib import modules

_CSS = HashedFilesMixin.patterns[0][1]
_MODULES = HashedFilesMixin._js_module_import_aggregation_patterns[1]  # type: ignore[attr-defined]  # missing in the stubs

# What packages bring and no page uses; compressing it would cost most of the first start.
UNUSED = ("*.map", "rest_framework", "redoc", "*.txt", "*.md")


# Made while collecting: all modules, and the rules of every page.
SCRIPT, STYLES = "js/all.js", "css/all.css"
STYLE_PARTS = ("css/tokens.css", "css/base.css", "css/components.css")


def sources() -> dict[str, str]:
    """Text of each of our ES modules by its name."""
    found = {}
    for folder in (Path(place) / "js" for place in settings.STATICFILES_DIRS):
        for path in sorted(folder.rglob("*.js")):
            found[path.relative_to(folder).with_suffix("").as_posix()] = path.read_text("utf-8")
    return found


def modules_digest() -> str:
    """Digest of names and contents of all our ES modules."""
    digest = hashlib.sha256()
    for folder in sorted(Path(place) for place in settings.STATICFILES_DIRS):
        for path in sorted((folder / "js").rglob("*.js")):
            digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Assets(CompressedManifestStaticFilesStorage):
    """As whitenoise's, with four differences.

    Imports between our own ES modules get hashed names too, else a browser could run a new module
    with an old one from its cache. Modules may import each other in a circle, so their hash is that of
    all of them together. They are also put into one file, as the style sheets of every page are, so that a first view
    needs few requests. Source maps are left out, so nothing looks for them.
    Before ``collectstatic`` names stay plain.
    """

    patterns = (("*.css", _CSS[:2]), ("js/*.js", _MODULES))
    _modules = ""

    def post_process(self, paths: dict[str, Any], *arguments: Any, **options: Any) -> Iterator[Any]:
        """Make the two files of many, then name all by their content."""
        if not options.get("dry_run"):
            styles = "\n".join(self._text(name) for name in STYLE_PARTS if name in paths)
            for name, text in ((SCRIPT, modules.bundle(sources())), (STYLES, styles)):
                self.delete(name)
                self._save(name, ContentFile(text.encode()))
                paths[name] = (self, name)
        yield from super().post_process(paths, *arguments, **options)

    def _text(self, name: str) -> str:
        with self.open(name) as file:
            return str(file.read().decode())

    @property
    def is_collected(self) -> bool:
        """Whether the files of many are there."""
        return SCRIPT in self.hashed_files

    def file_hash(self, name: str | None, content: Any = None) -> Any:
        """Digest of one file's content; of a module, the digest of all modules."""
        if name == SCRIPT or not (name and name.startswith("js/") and name.endswith(".js")):
            return super().file_hash(name, content)
        self._modules = self._modules or modules_digest()
        return self._modules

    def stored_name(self, name: str) -> str:
        """Hashed name, or ``name`` itself before anything was collected, as in tests and development."""
        return str(super().stored_name(name)) if self.hashed_files else name
