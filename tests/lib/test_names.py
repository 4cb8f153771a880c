import pytest

from mlportal.lib import names
from mlportal.lib.errors import Invalid


@pytest.mark.parametrize("name", ["churn", "Churn-2.0_final", "7days", "a", "x" * 100])
def test_clean_accepts(name):
    assert names.clean(name) == name


def test_clean_folds_full_width_letters():
    assert names.clean("\uff43hurn") == "churn"


@pytest.mark.parametrize(
    "name",
    ["", "   ", "x" * 101, ".", "..", "a/b", "a\\b", "%2e", "CON", "-x", "a b", "<b>", "a..b", "a\u202eb", "a\x00b", 7],
)
def test_clean_refuses_naming_the_field(name):
    with pytest.raises(Invalid) as caught:
        names.clean(name, field="dataset")
    assert caught.value.field == "dataset"


def test_key_makes_names_that_differ_in_case_one():
    assert names.key("Churn ") == names.key("CHURN")


def test_clean_text_keeps_any_script_and_refuses_invisible_marks():
    assert names.clean_text("naïve 東京 🎉\nline two") == "naïve 東京 🎉\nline two"
    with pytest.raises(Invalid, match="invisible"):
        names.clean_text("pay\u202epal")
    with pytest.raises(Invalid, match="at most 5"):
        names.clean_text("123456", limit=5)


@pytest.mark.parametrize("slug", ["a", "A-b", "-ab", "ab-", "x" * 51, "new", "a_b"])
def test_slug_refuses(slug):
    with pytest.raises(Invalid):
        names.slug(slug)
