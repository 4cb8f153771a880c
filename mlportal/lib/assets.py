"""Storage of the collected static files: hashed names for ever-cacheable answers, also inside our modules."""

from django.contrib.staticfiles.storage import HashedFilesMixin
from whitenoise.storage import CompressedManifestStaticFilesStorage

_CSS = HashedFilesMixin.patterns[0][1]
_MODULES = HashedFilesMixin._js_module_import_aggregation_patterns[1]  # type: ignore[attr-defined]  # missing in the stubs

# What packages bring and no page uses; compressing it would cost most of the first start.
UNUSED = ["*.map", "rest_framework", "redoc", "*.txt", "*.md"]


class Assets(CompressedManifestStaticFilesStorage):
    """As whitenoise's, with three differences.

    Imports between our own ES modules get hashed names too, else a browser could run a new module
    with an old one from its cache. Source maps are left out, so nothing looks for them.
    Before ``collectstatic`` names stay plain.
    """

    patterns = (("*.css", _CSS[:2]), ("js/*.js", _MODULES))

    def stored_name(self, name: str) -> str:
        """Hashed name, or ``name`` itself before anything was collected, as in tests and development."""
        return str(super().stored_name(name)) if self.hashed_files else name
