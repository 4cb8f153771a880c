"""A page as one HTML file: styles, chart library, charts and data inside, nothing loaded from anywhere."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString

STYLES = ("tokens", "base", "components", "pages/compare", "pages/recorded", "pages/report", "plotly")
# In the order in which each finds what it imports.
MODULES = (
    "behaviour", "charts/theme", "charts/turns", "charts/shown", "charts/smooth", "charts/kinds", "charts/series",
    "charts/compared", "charts/evidence", "charts/data", "charts/zoom", "charts/figure-svg", "charts/figure-table",
    "charts/figure", "charts/charts", "charts/parallel-axis", "charts/ranges", "charts/parallel", "charts/report",
)  # fmt: skip
_IMPORT = re.compile(r'^import (?:\{([^}]*)\} from )?"\.{1,2}/(?:[\w-]+/)*([\w-]+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?:async )?(?:function|const|let) ([\w$]+)", re.MULTILINE)
Json = dict[str, Any]


def page(title: str, parts: Sequence[Json], **more: Any) -> str:
    """Render the file.

    Parameters
    ----------
    title : str
    parts : sequence of dict
        Blocks with their data, as `queries.blocks` resolves them, with ``draws`` and ``title``.
    """
    more["curves_json"] = _inlined(more["stored"]["evaluations"]["curves"]) if "stored" in more else ""
    context = {
        "title": title, "at": timezone.now(),
        "blocks": [{**part, "json": _inlined(part.get("data"))} for part in parts],
        "styles": SafeString(styles()), "script": SafeString(script()), "library": SafeString(library()), **more,
    }  # fmt: skip
    return render_to_string("experiments/standalone.html", context)


def download(text: str, name: str) -> HttpResponse:
    """Hand it over as a file, never shown in the portal's own origin."""
    answer = HttpResponse(text, content_type="text/html; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:100]}.html"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def _inlined(data: Any) -> SafeString:
    """JSON that cannot end its script element."""
    text = json.dumps(data, separators=(",", ":"), default=str)
    return SafeString(text.translate({ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}))


@functools.cache
def styles() -> str:
    """Our style sheets without what would load a file."""
    text = "\n".join(_static(f"css/{name}.css") for name in STYLES)
    text = re.sub(r"@font-face\s*\{[^}]*\}", "", text)
    return re.sub(r"url\([^)]*\)", "none", text).replace("</", "<\\/")


@functools.cache
def library() -> str:
    """Plotly, so written that it cannot end its own script element."""
    return re.sub(r"</(script)", r"<\\/\1", _static("vendor/plotly-cartesian.min.js"), flags=re.IGNORECASE)


@functools.cache
def script() -> str:
    """Our chart modules as one plain script: a file opened from disk cannot import modules."""
    parts = [_module(name.rpartition("/")[2], _static(f"js/{name}.js")) for name in MODULES]
    return "(() => {\nconst modules = {};\n" + "\n".join(parts) + "\n})();"


def _module(name: str, text: str) -> str:
    exported = _EXPORT.findall(text)
    body = _IMPORT.sub(_bound, text)
    body = re.sub(r"^export ", "", body, flags=re.MULTILINE)
    kept = ", ".join(exported)
    return f"modules[{name!r}] = (() => {{\n{body}\nreturn {{ {kept} }};\n}})();".replace("</", "<\\/")


def _bound(found: re.Match[str]) -> str:
    names, module = found[1], found[2]
    return f"const {{{names}}} = modules[{module!r}];" if names else ""


def _static(path: str) -> str:
    return (Path(settings.BASE_DIR) / "static" / path).read_text("utf-8")
