"""Forms that ask why somebody may do something, and who may."""

from typing import Any

from django import forms

from mlportal.lib.forms import Form
from projects.models import Project
from projects.permissions import WORDS
from projects.services import things
from projects.services.things import Thing

RIGHTS = [(each.value, words[0].upper() + words[1:]) for each, words in WORDS.items()]


class WhoForm(Form):
    """A right and a thing; ``asked`` is one that the page would not offer by itself."""

    permission = forms.ChoiceField(label="May", choices=RIGHTS)
    on = forms.ChoiceField(label="On", required=False)

    def __init__(self, *args: Any, project: Project, asked: Thing | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = {"": "the whole project", **{each.key: each.label for each in things.choices(project)}}
        if asked is not None:
            offered.setdefault(asked.key, asked.label)
        self.fields["on"].choices = [(key, label[:80]) for key, label in offered.items()]  # type: ignore[attr-defined]


class WhyForm(WhoForm):
    """The same of one person; empty for oneself."""

    person = forms.CharField(label="Who", max_length=150, required=False, help_text="Sign-in name; empty: yourself.")
    field_order = ("person", "permission", "on")
