"""Markdown becomes HTML that cannot act."""

import pytest

from mlportal.lib import markdown


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("<script>alert(1)</script>", "<script"),
        ("<img src=x onerror=alert(1)>", "<img"),
        ("[a](javascript:alert(1))", "href"),
        ("[a](vbscript:x)", "href"),
        ("![a](https://elsewhere.example/x.png)", "<img"),
        ("|a|\n|--:|\n|1|", "style"),
        ("# Title", "<h1"),
        ("<a href='x' onclick='y'>z</a>", "<a"),
    ],
)
def test_nothing_that_acts_gets_through(text, refused):
    assert refused not in markdown.render(text)


def test_what_people_write_is_kept():
    html = markdown.render("## Plan\n\nTry **more** trees, see [run 7](/p/churn/runs/7/).\n\n- one\n- two\n")
    assert html == (
        "<h3>Plan</h3>\n<p>Try <strong>more</strong> trees, see "
        '<a href="/p/churn/runs/7/" rel="nofollow noopener noreferrer">run 7</a>.</p>\n'
        "<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n"
    )


def test_headings_never_skip_a_level():
    html = markdown.render("### a\n\n##### b\n\n# c\n\n## d")
    assert [html[html.index(f">{word}") - 2 : html.index(f">{word}")] for word in "abcd"] == ["h3", "h4", "h3", "h4"]


def test_a_text_too_long_for_prose_is_shown_as_it_is():
    html = markdown.render("*" * (markdown.LONGEST + 1))
    assert html.startswith('<pre class="prewrap">***')


def test_an_excerpt_has_no_marks():
    assert markdown.excerpt("# Hi *there*\n\nmore `code`, and on") == "Hi there · more code, and on"
    assert markdown.excerpt("word " * 50, 20) == "word word word word…"
