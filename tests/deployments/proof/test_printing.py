"""Papers as PDF: text stays text, in any script, and nothing in it acts."""

import re
import zlib
from contextlib import ExitStack, closing

import pytest

from deployments.proof import papers
from deployments.proof.papers import Source
from deployments.proof.printing import NO_GLYPH, Printer

SOURCE = Source("Run 4", "/p/churn/runs/4/", "2026-11-21T10:00:00+00:00")
ARABIC = "\u0645\u0631\u062d\u0628\u0627"


def paper(text: str, rows: int = 2):
    cells = [["AUC", 0.8812, "0.87 to 0.89"]] * rows
    return {
        "title": "Model card of churn v3", "about": {"made_at": "2026-11-22T01:00:00+00:00"}, "front": [["Card", 3]],
        "sections": [
            papers.section(
                "limits", "1", "Limits",
                papers.text("limits", "Limitations", text, SOURCE, hand_written=True, by="Ana"),
                papers.text("caveats", "Caveats", "", gap="Nobody has written it.", who="Ana"),
            ),
            papers.section("eval", "2", "Evaluation", papers.table("m", "Metrics", ("M", "V", "I"), cells, SOURCE)),
        ],
    }  # fmt: skip


def streams(content: bytes) -> bytes:
    """Everything the file draws or holds, unpacked."""
    found = []
    for body in re.findall(rb"stream\n(.*?)endstream", content, re.DOTALL):
        try:
            found.append(zlib.decompress(body.strip(b"\r\n")))
        except zlib.error:
            found.append(body)
    return b"\n".join(found)


@pytest.fixture
def printer():
    """Make printers, and close their fonts afterwards."""
    with ExitStack() as stack:
        yield lambda text, **more: stack.enter_context(closing(Printer(paper(text, **more))))


def test_headings_are_bookmarks_and_pages_are_numbered(printer):
    made = printer("Weak.", rows=120)
    content = made.draw()
    titles = [entry.name for entry in made.file._outline]
    assert titles == ["1  Limits", "Limitations", "Caveats", "2  Evaluation", "Metrics"]
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") == made.file.pages_count == 4
    assert b"/Outlines" in content


def test_the_same_paper_has_the_same_length_and_no_link_or_script(printer):
    first, second = (printer("[x](javascript:alert(1)) <b>").draw() for _ in range(2))
    assert len(first) == len(second)
    for word in (b"/JavaScript", b"/JS", b"/URI", b"/Launch", b"/EmbeddedFile"):
        assert word not in first
        assert word not in streams(first)


@pytest.mark.parametrize(
    "text",
    ["x" * 6000, "\x01\x02\x07\x1b[31m", "a\u202eevil\u2066", "<script>alert(1)</script>", "(\\) Tj ET endstream",
     "|a|b|\n|-|-|\n|1|2|", "# " * 50, "- " * 200, "> " * 100 + "deep", "\ud7ff\ufffd", "%s %d {nb} {{ x }}"],
)  # fmt: skip
def test_hostile_text_neither_breaks_nor_injects(printer, text):
    made = printer(text)
    assert made.draw().rstrip().endswith(b"%%EOF")
    assert not {"\x01", "\u202e", "\u2066"} & set(made._fit(text))


@pytest.mark.parametrize(
    ("text", "font"),
    [("Ελληνικά и кириллица", "text"), (f"\u05e9\u05dc\u05d5\u05dd {ARABIC}", "text"), ("数据", "sc")],
)
def test_other_scripts_have_glyphs(printer, text, font):
    made = printer(text)
    assert NO_GLYPH not in made._fit(text)
    made.draw()
    assert (not made.lost, font in made.file.fonts) == (True, True)


def test_arabic_is_shaped(printer):
    assert printer(ARABIC).file.text_shaping
    assert not printer("plain").file.text_shaping


def test_a_letter_no_font_has_is_a_box_and_is_told(printer):
    made = printer("\U00013000")
    assert made._fit("\U00013000") == NO_GLYPH
    made.draw()
    assert made.lost == {"\U00013000"}
