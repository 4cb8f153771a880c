import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django import forms
from django.template import Context, Template
from django.template.exceptions import TemplateSyntaxError
from django.test import RequestFactory

from mlportal.lib import quantities, ui
from mlportal.lib.errors import Conflict, Invalid
from mlportal.lib.forms import Form

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def render(text: str, **values: object) -> str:
    request = RequestFactory().get(values.pop("path", "/p/churn/datasets/"))
    return Template(text).render(Context({"request": request, **values}))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(10214, "10,214"), (4_820_000, "4.82 M"), (0, "0"), (-3, "−3"), (2.5, "2.50"), (2e9, "2.00 G"),
     (None, "–"), ("", "–"), ("word", "–"), (float("nan"), "–"), (True, "–")],
)  # fmt: skip
def test_num(value, shown):
    assert quantities.num(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.87921, "0.8792"), (0, "0.0000"), (-0.25, "−0.2500"), (1234.56, "1,234.6"), (0.00001234, "1.234e−05"),
     (123456789.0, "1.235e+08"), (float("inf"), "∞"), (float("-inf"), "−∞"),
     (float("nan"), "NaN"), (None, "–")],
)  # fmt: skip
def test_metric(value, shown):
    assert quantities.metric(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.0081, "+0.0081"), (-0.004, "−0.0040"), (0, "0.0000"), (None, "–")])
def test_signed(value, shown):
    assert quantities.signed(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.071, "71 ms"), (4.2, "4.2 s"), (570, "9:30"), (7510, "2:05:10"), (timedelta(minutes=1), "1:00"),
     (59.97, "1:00"), (None, "–")],
)  # fmt: skip
def test_duration(value, shown):
    assert quantities.duration(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(12, "12 B"), (3400, "3.4 KB"), (1.2e9, "1.2 GB"), (5e13, "50.0 TB"), (None, "–")]
)
def test_filesize(value, shown):
    assert quantities.filesize(value) == shown


@pytest.mark.parametrize(("title", "inside"), [("Run finished", "run finished"), ("ROC AUC", "ROC AUC"), ("", "")])
def test_inside_a_sentence(title, inside):
    assert ui.inside_a_sentence(title) == inside


def test_percent():
    assert [quantities.percent(0.62), quantities.percent(0.0512, 1), quantities.percent(None)] == ["62%", "5.1%", "–"]


@pytest.mark.parametrize(
    ("before", "sentence", "column"),
    [(timedelta(seconds=20), "now", "now"), (timedelta(minutes=9), "9 min ago", "9 min"),
     (timedelta(hours=3), "3 h ago", "3 h"), (timedelta(days=2), "2 d ago", "2 d"),
     (-timedelta(days=2), "in 2 d", "in 2 d"), (-timedelta(days=29, hours=23), "in 30 d", "in 30 d"),
     (timedelta(days=31), "20 Oct 2026", "20 Oct 2026")],
)  # fmt: skip
def test_times_are_relative_up_to_thirty_days(before, sentence, column):
    for tag, text in ((ui.ago, sentence), (ui.age, column)):
        assert tag(NOW - before, NOW).partition(">")[2] == f"{text}</time>"


def test_time_carries_the_full_moment():
    assert ui.ago(NOW, NOW) == (
        '<time datetime="2026-11-20T12:00:00+00:00" title="20 November 2026, 12:00:00 UTC">now</time>'
    )
    assert ui.utc(NOW) == '<time datetime="2026-11-20T12:00:00Z">2026-11-20 12:00:00</time>'
    assert [ui.ago(None), ui.utc("yesterday")] == ["–", "–"]


def test_icon_points_into_the_sprite():
    assert ui.icon("box", "lg") == (
        '<svg class="i lg" aria-hidden="true"><use href="/static/vendor/icons.svg#box"/></svg>'
    )


def test_state_is_icon_word_and_colour():
    assert render('{% state "running" %}') == (
        '<span class="st info"><svg class="i spin" aria-hidden="true">'
        '<use href="/static/vendor/icons.svg#loader-2"/></svg>running</span>'
    )
    assert render('{% state "failed" "out of memory" pill=True %}').startswith('<span class="st bad pill">')
    assert render('{% state "timed_out" %}').endswith("timed out</span>")


def test_state_escapes_what_it_does_not_know():
    assert "<b>" not in render("{% state word %}", word="<b>x</b>")


def test_every_state_uses_an_icon_of_the_sprite():
    sprite = Path("static/vendor/icons.svg").read_text()
    missing = {name for name, _colour in ui.STATES.values() if f'id="{name}"' not in sprite}
    assert missing == set()


def test_every_template_uses_icons_of_the_sprite():
    known = set(re.findall(r'id="([^"]+)"', Path("static/vendor/icons.svg").read_text()))
    used = {
        (name, str(path))
        for path in Path("templates").rglob("*.html")
        for name in re.findall(r'(?:{% icon |icon=)"([a-z0-9-]+)"', path.read_text())
    }
    assert {(name, path) for name, path in used if name not in known} == set()
    assert ("cloud-upload", "templates/monitoring/performance.html") in used


def test_avatar_names_the_person():
    class Person:
        pk, initials = 7, "AR"

        def __str__(self) -> str:
            return "Ana Ruiz"

    assert ui.avatar(Person()) == (
        '<span class="avatar sm a2" aria-hidden="true">AR</span><span class="vh">Ana Ruiz</span>'
    )
    assert '<span class="vh">sweeper</span>' in ui.avatar(None, name="sweeper")


def test_spark_draws_finite_values_only():
    line = ui.spark([0, None, float("nan"), 1])
    assert 'd="M1.0 16.0L81.0 2.0"' in line
    assert ui.spark([1]) == ui.spark(None) == ""


def test_spark_thins_to_24_points_and_marks_a_limit():
    line = ui.spark(range(500), limit=250)
    assert line.count("L") == 23
    assert 'class="lim" d="M1 9.0H81"' in line


def test_bar_stays_inside():
    assert 'width="100.0"' in ui.bar(3)
    assert 'width="0.0"' in ui.bar(None)
    assert 'role="img" aria-label="62% of rows"' in ui.bar(0.62, "", "62% of rows")


def test_component_prints_body_and_slots():
    text = '{% component "card" heading=h id="m" %}{% slot "actions" %}<a>Add</a>{% endslot %}rows{% endcomponent %}'
    page = render(text, h="A & B")
    assert '<h2 id="m">A &amp; B</h2><a>Add</a></header>' in page
    assert '<div class="body">rows</div>' in page


def test_component_refuses_loose_words():
    with pytest.raises(TemplateSyntaxError, match="name=value"):
        Template('{% component "card" big %}{% endcomponent %}')


def test_nav_item_knows_where_it_is():
    class Churn:
        slug = "churn"

    item = '{% nav_item "datasets/" "database" "Datasets" %}'
    assert 'href="/p/churn/datasets/" aria-current="page"' in render(item, project=Churn)
    assert "aria-current" not in render(item, project=Churn, path="/p/churn/models/")
    assert "aria-current" in render('{% nav_item "m/" "box" "M" also="p/" %}', project=Churn, path="/p/churn/p/3/")
    assert "aria-current" not in render('{% nav_item "/" "home" "Home" %}', path="/inbox/")


def test_query_with_keeps_the_rest():
    assert render("{% query_with page=2 q=None %}", path="/x/?q=a&sort=b") == "?sort=b&amp;page=2"
    assert render("{% query_with q='' %}", path="/x/?q=a") == "?"


def test_split_hint():
    assert ui.split_hint("read: see everything") == ("read", "see everything")
    assert ui.split_hint("Viewer") == ("Viewer", "")


def test_csrf_headers_are_json():
    assert render("{% csrf_headers %}").startswith("{&quot;X-CSRFToken&quot;: &quot;")


class Name(Form):
    name = forms.CharField(help_text="Short.")
    kind = forms.ChoiceField(choices=[("a", "A")])


def test_form_widgets_carry_classes_and_hints():
    form = Name()
    assert form["name"].as_widget() == (
        '<input type="text" name="name" class="in" aria-describedby="id_name_helptext" id="id_name">'
    )
    assert 'class="sel"' in form["kind"].as_widget()


def test_form_shows_a_refusal_where_it_belongs():
    form = Name({"name": "x", "kind": "a"})
    form.refuse(Invalid("name is taken", field="name"))
    form.refuse(Conflict("Another change came first."))
    assert form.errors == {"name": ["name is taken"], "__all__": ["Another change came first."]}
    page = render('{% include "components/form.html" %}', form=form)
    assert '<a href="#id_name">Name</a>: name is taken' in page
    assert 'id="id_name_error"' in page
    assert 'aria-describedby="id_name_helptext id_name_error"' in page
