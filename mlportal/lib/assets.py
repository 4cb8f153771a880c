"""Storage of the collected static files: hashed names for ever-cacheable answers, also inside our modules."""

import hashlib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import HashedFilesMixin
from whitenoise.storage import CompressedManifestStaticFilesStorage

_CSS = HashedFilesMixin.patterns[0][1]
_MODULES = HashedFilesMixin._js_module_import_aggregation_patterns[1]  # type: ignore[attr-defined]  # missing in the stubs

# What packages bring and no page uses; compressing it would cost most of the first start.
UNUSED = ("*.map", "rest_framework", "redoc", "*.txt", "*.md")


def modules_digest() -> str:
    """Digest of names and contents of all our ES modules."""
    digest = hashlib.sha256()
    for folder in sorted(Path(place) for place in settings.STATICFILES_DIRS):
        for path in sorted((folder / "js").rglob("*.js")):
            digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Assets(CompressedManifestStaticFilesStorage):
    """As whitenoise's, with three differences.

    Imports between our own ES modules get hashed names too, else a browser could run a new module
    with an old one from its cache. Modules may import each other in a circle, so their hash is that of
    all of them together. Source maps are left out, so nothing looks for them.
    Before ``collectstatic`` names stay plain.
    """

    patterns = (("*.css", _CSS[:2]), ("js/*.js", _MODULES))
    _modules = ""

    def file_hash(self, name: str | None, content: Any = None) -> Any:
        """Digest of one file's content; of a module, the digest of all modules."""
        if not (name and name.startswith("js/") and name.endswith(".js")):
            return super().file_hash(name, content)
        self._modules = self._modules or modules_digest()
        return self._modules

    def stored_name(self, name: str) -> str:
        """Hashed name, or ``name`` itself before anything was collected, as in tests and development."""
        return str(super().stored_name(name)) if self.hashed_files else name
