"""Markdown that people and clients wrote, as HTML that cannot act.

Raw HTML stays text, images become links (a page loads nothing from elsewhere), and nothing gets an inline style.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

LONGEST = 50_000
FIRST_LEVEL = 3  # below the h1 of the page and the h2 of the card
_LAST_LEVEL = 6


class _Renderer(RendererHTML):
    """The standard renderer, but for images."""

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: Any) -> str:
        """A link to the picture with its words."""
        token = tokens[idx]
        words = self.renderInlineAsText(token.children, options, env) or "image"
        return format_html('<a href="{}" rel="{}">{}</a>', token.attrs.get("src", ""), _RELATION, words)


_RELATION = "nofollow noopener noreferrer"
_PARSER = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}, renderer_cls=_Renderer).enable(
    ["table", "strikethrough"]
)


def render(text: str, first_level: int = FIRST_LEVEL) -> SafeString:
    """Return the HTML of a text; a text too long to be prose is shown as it is.

    Parameters
    ----------
    text : str
        Markdown as in CommonMark, with tables and strike-through.
    first_level : int
        Level of its highest heading.
    """
    if len(text) > LONGEST:
        return format_html('<pre class="prewrap">{}</pre>', text)
    tokens = _PARSER.parse(text)
    _fit_headings(tokens, first_level)
    for token in tokens:
        _tame(token)
        for child in token.children or ():
            _tame(child)
    return SafeString(_PARSER.renderer.render(tokens, _PARSER.options, {}))


def excerpt(text: str, length: int = 120) -> str:
    """Return the first words of a text without its marks, for one line of a table."""
    if len(text) > LONGEST:
        return text[:length]
    blocks = ["".join(_words(part) for part in token.children or ()) for token in _PARSER.parse(text)]
    line = " · ".join(" ".join(block.split()) for block in blocks if block.strip())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def _words(token: Token) -> str:
    return token.content if token.type in ("text", "code_inline") else " " if token.type.endswith("break") else ""


def _tame(token: Token) -> None:
    if token.type == "link_open":
        token.attrSet("rel", _RELATION)
    # Alignment of a column comes as a style, which the policy of the page refuses.
    if "style" in token.attrs:
        aligned = str(token.attrs.pop("style")) == "text-align:right"
        if aligned:
            token.attrSet("class", "n")
    if token.type == "table_open":
        token.attrSet("class", "tbl plain")


def _fit_headings(tokens: Sequence[Token], first_level: int) -> None:
    """Let headings start at this level and never skip one."""
    seen: list[int] = []
    for token in tokens:
        if token.type not in ("heading_open", "heading_close"):
            continue
        if token.type == "heading_open":
            level = int(token.tag[1])
            while seen and seen[-1] >= level:
                seen.pop()
            seen.append(level)
        token.tag = f"h{min(_LAST_LEVEL, first_level - 1 + len(seen))}"
