"""Papers as PDF files, in a child process: fonts take time and memory that a web process should not lend.

Text is drawn as text: nothing in a paper is read as markup of the file. Headings are bookmarks, pages are numbered.
Run as ``python -m deployments.proof.printing``: a paper as JSON comes in, the file goes out.
"""

import json
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace, TTFFont
from markdown_it import MarkdownIt
from markdown_it.token import Token

from deployments.proof.papers import cell

Json = dict[str, Any]
FONTS = Path(__file__).resolve().parents[2] / "mlportal" / "lib" / "fonts"
INK, GREY, AMBER, LINE = (21, 26, 34), (98, 108, 123), (138, 85, 0), (207, 213, 222)
SHADE = (240, 242, 245)
MARGIN = 18
NO_GLYPH = "\u25a1"
MOST_ROWS = 500
LONGEST = 100_000
_PARSER = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable(["table", "strikethrough"])


class _File(FPDF):
    """A4 with a running foot."""

    def __init__(self, title: str, foot: str) -> None:
        super().__init__(format="A4")
        self.foot = foot
        self.set_margin(MARGIN)
        self.set_auto_page_break(True, margin=20)
        self.set_title(title)
        self.set_lang("en")
        self.set_creator("mlportal")

    def footer(self) -> None:
        """Write what it is and which page of how many."""
        self.set_y(-14)
        self.set_font("text", size=7.5)
        self.set_text_color(*GREY)
        self.cell(self.epw - 30, 5, self.foot[:110])
        self.cell(30, 5, f"Page {self.page_no()} of {{nb}}", align="R")


class Printer:
    """Draws one paper.

    Parameters
    ----------
    paper
        As in :mod:`deployments.proof.papers`, with names in place of accounts.
    """

    def __init__(self, paper: Json) -> None:
        self.paper = paper
        everything = json.dumps(paper, ensure_ascii=False)
        self.file = _File(_clean(paper["title"]), _clean(paper["title"]))
        self.known = self._fonts(set(everything))
        self.lost: set[str] = set()
        made = paper["about"].get("made_at")
        if made:
            self.file.set_creation_date(datetime.fromisoformat(made))

    def draw(self) -> bytes:
        """Return the file."""
        self.file.add_page()
        self._head()
        for part in self.paper["sections"]:
            self._section(part)
        if self.lost:
            self._small(
                f"{len(self.lost)} characters have no glyph here and are shown as {NO_GLYPH}; the JSON holds them."
            )
        return bytes(self.file.output())

    def close(self) -> None:
        """Close the files of the fonts."""
        for font in self.file.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()

    def _fonts(self, used: set[str]) -> set[int]:
        """Load the fonts that the text needs, and return the characters they can show."""
        file = self.file
        file.add_font("text", "", FONTS / "dejavu-sans.ttf")
        file.add_font("text", "B", FONTS / "dejavu-sans-bold.ttf")
        known = _glyphs(file, "text")
        more = []
        for code in _scripts({letter for letter in used if ord(letter) not in known}):
            file.add_font(code, "", FONTS / f"noto-sans-{code}.woff2")
            known |= _glyphs(file, code)
            more.append(code)
        if more:
            file.set_fallback_fonts(more, exact_match=False)
        if any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in used):
            file.set_text_shaping(use_shaping_engine=True)
        return known

    def _head(self) -> None:
        self._line(self.paper["title"], size=18, bold=True, height=9)
        for label, value in self.paper.get("front", []):
            self._small(f"{label}: {cell(value)}", size=8.5)
        self.file.ln(3)

    def _section(self, part: Json) -> None:
        file = self.file
        if file.will_page_break(30):
            file.add_page()
        file.ln(4)
        heading = self._fit(f"{part['number']}  {part['title']}")
        file.start_section(heading, level=0)
        self._line(heading, size=13, bold=True, height=7)
        file.set_draw_color(*LINE)
        file.line(file.l_margin, file.get_y(), file.l_margin + file.epw, file.get_y())
        file.ln(2)
        for item in part["fields"]:
            self._field(item)

    def _field(self, item: Json) -> None:
        file = self.file
        if file.will_page_break(18):
            file.add_page()
        label = self._fit(item["label"])
        file.start_section(label, level=1)
        self._line(label, size=10, bold=True, height=5.5)
        if item["gap"]:
            who = f" Who can fill it: {item['who']}." if item["who"] else ""
            self._line(f"Missing. {item['gap']}{who}", size=9, colour=AMBER)
        elif item["kind"] == "text":
            self._prose(item["value"])
        elif item["kind"] == "pairs":
            self._table([[name, cell(value)] for name, value in item["value"]], widths=(26, 74))
        else:
            self._rows(item["value"])
        self._small(_origin(item))
        file.ln(2)

    def _rows(self, value: Json) -> None:
        rows = [[cell(one) for one in row] for row in value["rows"]]
        self._table(rows[:MOST_ROWS], heads=value["columns"])
        if len(rows) > MOST_ROWS:
            self._small(f"{len(rows) - MOST_ROWS} more rows are in the JSON.")

    def _prose(self, text: str) -> None:
        for block, bold in _blocks(text[:LONGEST]):
            self._line(block, size=9, bold=bold)

    def _table(self, rows: list[list[str]], *, heads: list[str] | None = None, widths: Any = None) -> None:
        file = self.file
        file.set_font("text", size=7.5 if heads and len(heads) > 5 else 8.5)
        file.set_text_color(*INK)
        file.set_draw_color(*LINE)
        with file.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES, first_row_as_headings=bool(heads), line_height=4.4,
            col_widths=widths, text_align="LEFT", padding=0.8,
            headings_style=FontFace(emphasis="BOLD", fill_color=SHADE),
        ) as table:  # fmt: skip
            for row in [*([heads] if heads else []), *rows]:
                line = table.row()
                for one in row:
                    line.cell(self._fit(one))
        file.ln(1)

    def _line(
        self, text: str, *, size: float, bold: bool = False, colour: Any = INK, height: float | None = None
    ) -> None:
        file = self.file
        file.set_font("text", "B" if bold else "", size)
        file.set_text_color(*colour)
        file.multi_cell(
            0, height or size * 0.5, self._fit(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT, markdown=False
        )

    def _small(self, text: str, *, size: float = 7.5) -> None:
        if text:
            self._line(text, size=size, colour=GREY)

    def _fit(self, text: str) -> str:
        """Keep what the fonts can show; the rest becomes a box and is counted."""
        clean = _clean(text)
        lost = {letter for letter in clean if ord(letter) not in self.known and not letter.isspace()}
        self.lost |= lost
        return "".join(NO_GLYPH if letter in lost else letter for letter in clean) or " "


def _glyphs(file: FPDF, name: str) -> set[int]:
    font = file.fonts[name]
    assert isinstance(font, TTFFont)
    return set(font.cmap)


def _clean(text: str) -> str:
    """Drop what is not text: control characters, direction marks, halves of characters."""
    kept = (letter for letter in str(text) if letter in "\n\t" or unicodedata.category(letter) not in _DROPPED)
    return "".join(kept).replace("\t", "    ")


_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def _scripts(missing: set[str]) -> list[str]:
    """Choose the fonts for letters that the first one lacks; kana tell Japanese from Chinese."""
    points = {ord(letter) for letter in missing}
    korean = any(0x1100 <= at <= 0x11FF or 0x3130 <= at <= 0x318F or 0xAC00 <= at <= 0xD7AF for at in points)
    japanese = any(0x3040 <= at <= 0x30FF for at in points)
    han = any(0x2E80 <= at <= 0x303F or 0x3400 <= at <= 0x9FFF or 0xFF00 <= at <= 0xFFEF for at in points)
    return [*(["jp"] if japanese else []), *(["sc"] if han else []), *(["kr"] if korean else [])]


def _blocks(text: str) -> Iterator[tuple[str, bool]]:
    """Read Markdown as lines of plain words, and whether each is a heading."""
    marks: list[str] = []
    bold = False
    for token in _PARSER.parse(text):
        if token.type in ("bullet_list_open", "ordered_list_open"):
            marks.append("")
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            marks.pop()
        elif token.type == "list_item_open":
            marks[-1] = f"{token.info}. " if token.info else "\u2022 "
        elif token.type.startswith("heading_"):
            bold = token.type == "heading_open"
        elif token.type == "inline":
            yield ("   " * (len(marks) - 1) + marks[-1] if marks else "") + _words(token), bold
        elif token.type in ("fence", "code_block"):
            yield token.content.rstrip("\n"), False


def _words(token: Token) -> str:
    out = []
    for part in token.children or ():
        if part.type in ("text", "code_inline"):
            out.append(part.content)
        elif part.type.endswith("break"):
            out.append("\n")
        elif part.type == "image":
            out.append(f"{part.content} ({part.attrs.get('src', '')})")
        elif part.type == "link_open":
            out.append(f"({part.attrs.get('href', '')}) ")
    return "".join(out)


def _origin(item: Json) -> str:
    """Say where a field comes from, how old it is, and who wrote it."""
    said = [
        f"Source: {item['source']['label']}" if item["source"]["label"] else "",
        f"changed {item['changed_at'][:10]}" if item["changed_at"] else "",
        f"written by {item['by']}" if item["by"] else "written by hand" if item["hand_written"] else "",
    ]
    return "" if item["gap"] else " · ".join(word for word in said if word)


def main() -> None:
    """Read a paper, write the file."""
    with closing(Printer(json.load(sys.stdin))) as printer:
        sys.stdout.buffer.write(printer.draw())


if __name__ == "__main__":
    main()
