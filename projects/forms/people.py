"""Forms of accounts, users, tokens, projects and members. They only parse; the services check."""

import zoneinfo
from datetime import datetime
from typing import Any

from django import forms

from mlportal.lib import moments
from mlportal.lib.errors import DomainError, Invalid
from mlportal.lib.forms import Form
from projects.models import Event, Project, User
from projects.permissions import ROLE_LABELS, SCOPES, Role

SCOPE_WORDS = {
    "read": "see everything its owner sees",
    "write": "log runs, add datasets, comment",
    "train": "launch and cancel jobs",
    "register": "register models, ask for promotion",
    "approve": "decide promotions",
    "deploy": "switch and roll back endpoints",
    "predict": "call endpoints",
    "alerts": "handle alerts, edit monitors",
    "admin": "members, tokens, settings, audit log",
}
TOKEN_DAYS = [(7, "7 days"), (30, "30 days"), (90, "90 days"), (180, "180 days"), (365, "a year")]
ROLES = [(role.value, ROLE_LABELS[role]) for role in Role]


def _secret(label: str, *, new: bool = False, hint: str = "") -> forms.CharField:
    return forms.CharField(
        label=label, strip=False, max_length=1000, help_text=hint,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password" if new else "current-password"}),
    )  # fmt: skip


class SignIn(Form):
    """Name and password."""

    username = forms.CharField(
        label="Name", max_length=100, widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True})
    )
    password = _secret("Password")


def _code(label: str = "Code", hint: str = "") -> forms.CharField:
    attrs = {"autocomplete": "one-time-code", "autocapitalize": "off", "spellcheck": "false", "class": "mono"}
    return forms.CharField(label=label, max_length=40, help_text=hint, widget=forms.TextInput(attrs=attrs))


class SecondStep(Form):
    """The code after the password."""

    code = _code(hint="6 digits from your app, or a recovery code.")


class EnableFactor(Form):
    """The first code of a new app."""

    code = _code(hint="The 6 digits your app shows now.")


class ProveFactor(Form):
    """Password and code; people without a password leave it out."""

    password = _secret("Password")
    code = _code(hint="6 digits from your app, or a recovery code.")

    def __init__(self, *args: Any, with_password: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not with_password:
            del self.fields["password"]


class SetUp(Form):
    """The first site administrator."""

    username = forms.CharField(label="Sign-in name", max_length=100, help_text="Letters, digits, '.', '_' and '-'.")
    email = forms.CharField(label="E-mail", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    password = _secret("Password", new=True, hint="At least 12 characters. A sentence is easier than symbols.")
    again = _secret("Password again", new=True)

    def clean(self) -> dict[str, Any]:
        """Both passwords must be the same."""
        values = super().clean() or {}
        if values.get("password") != values.get("again"):
            self.add_error("again", "The two passwords differ.")
        return values


class Profile(Form):
    """One's own name, address and preferences."""

    display_name = forms.CharField(label="Name shown to others", max_length=100, required=False)
    email = forms.CharField(label="E-mail", max_length=254, widget=forms.EmailInput)
    theme = forms.ChoiceField(label="Theme", choices=User.Theme.choices, required=False)
    density = forms.ChoiceField(label="Row height", choices=User.Density.choices)
    time_zone = forms.ChoiceField(
        label="Time zone", choices=lambda: [(z, z) for z in sorted(zoneinfo.available_timezones())]
    )
    single_keys = forms.BooleanField(label="Single-key shortcuts (j, k, x, g …)", required=False)


class DefaultProject(Form):
    """Where one's tracking clients log when they name no project; ``projects`` are those the person may name."""

    default_project = forms.ModelChoiceField(
        label="Project of the MLflow client", queryset=Project.objects.none(), to_field_name="slug", required=False,
        empty_label="The one you joined first",
        help_text="Used when neither the token, MLFLOW_WORKSPACE nor the tracking address names one.",
    )  # fmt: skip

    def __init__(self, *args: Any, projects: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["default_project"].queryset = projects  # type: ignore[attr-defined]


class Password(Form):
    """Change one's own password."""

    old = _secret("Present password")
    new = _secret("New password", new=True, hint="At least 12 characters. Your other sessions end.")
    again = _secret("New password again", new=True)

    def clean(self) -> dict[str, Any]:
        """Both passwords must be the same."""
        values = super().clean() or {}
        if values.get("new") != values.get("again"):
            self.add_error("again", "The two passwords differ.")
        return values


class NewUser(Form):
    """A user added by a site administrator."""

    username = forms.CharField(label="Sign-in name", max_length=100, help_text="Letters, digits, '.', '_' and '-'.")
    email = forms.CharField(label="E-mail", max_length=254, widget=forms.EmailInput)
    display_name = forms.CharField(label="Name shown to others", max_length=100, required=False)
    site_admin = forms.BooleanField(
        label="Site administrator: adds users and projects, sees every project", required=False
    )


class NewToken(Form):
    """``projects`` are those the person may make tokens for."""

    name = forms.CharField(label="Name", max_length=100, help_text="What uses it, for example ci-nightly.")
    project = forms.ModelChoiceField(
        label="Project", queryset=Project.objects.none(), to_field_name="slug", empty_label=None
    )
    scopes = forms.MultipleChoiceField(
        label="Scopes", widget=forms.CheckboxSelectMultiple,
        choices=[(name, f"{name}: {SCOPE_WORDS[name]}") for name in SCOPES],
    )  # fmt: skip
    days = forms.TypedChoiceField(label="Lives for", coerce=int, initial=90, choices=TOKEN_DAYS)

    def __init__(self, *args: Any, projects: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["project"].queryset = projects  # type: ignore[attr-defined]


class NewProject(Form):
    """A project to make."""

    name = forms.CharField(label="Name", max_length=100)
    slug = forms.CharField(
        label="Address", max_length=50, required=False,
        help_text="Lower-case letters, digits and hyphens; stands in every link. Empty: made from the name.",
    )  # fmt: skip
    description = forms.CharField(label="What it is for", required=False, widget=forms.Textarea(attrs={"rows": 3}))


class EditProject(Form):
    """Name and description."""

    name = forms.CharField(label="Name", max_length=100)
    description = forms.CharField(label="What it is for", required=False, widget=forms.Textarea(attrs={"rows": 3}))


class Moment(forms.CharField):
    """A date or a time in UTC; ``open_end`` means the end of a day that is named."""

    def __init__(self, *, open_end: bool = False, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"placeholder": "2026-03-12 14:00", "autocomplete": "off"})
        super().__init__(required=False, max_length=40, widget=widget, **kwargs)
        self.open_end = open_end

    def clean(self, value: Any) -> datetime | None:
        """Read it."""
        text = super().clean(value)
        if not text:
            return None
        name = str(self.label).lower()
        try:
            return moments.after(text, field=name) if self.open_end else moments.read(text, field=name).start
        except Invalid as error:
            raise forms.ValidationError(error.message) from error


class NewMember(Form):
    """A person and a role, if it shall end with its last day."""

    user = forms.CharField(label="Sign-in name", max_length=100)
    role = forms.ChoiceField(label="Role", choices=ROLES, initial=Role.VIEWER.value)
    until = Moment(open_end=True, label="Until", help_text="Empty: the role has no end.")


class NewServiceAccount(Form):
    """An account of automation, with the person who answers for it."""

    name = forms.CharField(label="Name", max_length=50, help_text="What works with it, for example ci-nightly.")
    owner = forms.CharField(label="Who answers for it", max_length=100, help_text="Sign-in name of a member.")
    role = forms.ChoiceField(
        label="Role", choices=[each for each in ROLES if each[0] != Role.ADMIN], initial=Role.SCIENTIST.value
    )


class ServiceOwner(Form):
    """Another person who answers for a service account."""

    owner = forms.CharField(label="Sign-in name", max_length=100, help_text="Of a member of the project.")


class NewServiceToken(Form):
    """A token of a service account; it works in its project only."""

    name = forms.CharField(label="Name", max_length=100, help_text="Where it lies, for example build-server.")
    scopes = forms.MultipleChoiceField(
        label="Scopes", widget=forms.CheckboxSelectMultiple,
        choices=[(name, f"{name}: {SCOPE_WORDS[name]}") for name in SCOPES],
    )  # fmt: skip
    days = forms.TypedChoiceField(label="Lives for", coerce=int, initial=90, choices=TOKEN_DAYS)


class NewGroupRole(Form):
    """A group and the role that everybody in it holds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="group_%s", **kwargs)  # another form of the page has the same fields

    group = forms.CharField(label="Group", max_length=100)
    role = forms.ChoiceField(label="Role", choices=ROLES, initial=Role.VIEWER.value)
    until = Moment(open_end=True, label="Until", help_text="Empty: the role has no end.")


class GroupRoleChange(Form):
    """Another role of a group, or another end."""

    role = forms.ChoiceField(label="Role", choices=ROLES)
    until = Moment(open_end=True, label="Until", help_text="UTC. Empty: the role has no end.")


class NewFolderRole(Form):
    """A person or a group, and their role on a folder."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="role_%s", **kwargs)  # another form of the page has the same fields

    user = forms.CharField(label="Sign-in name", max_length=100, required=False, help_text="A person, or else a group.")
    group = forms.CharField(label="Group", max_length=100, required=False)
    role = forms.ChoiceField(label="Role", choices=ROLES[1:], initial=Role.SCIENTIST.value)
    until = Moment(open_end=True, label="Until", help_text="Empty: the role has no end.")


class NewGroup(Form):
    """A group to make, or to change."""

    name = forms.CharField(label="Name", max_length=100)
    description = forms.CharField(label="Who is in it", required=False, widget=forms.Textarea(attrs={"rows": 2}))


class NewGroupMember(Form):
    """A person in a group, or its owner."""

    user = forms.CharField(label="Sign-in name", max_length=100)
    as_owner = forms.BooleanField(label="As owner: changes who is in it, without being in it", required=False)


class NewMapping(Form):
    """A name at a sign-in provider that means a group."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="mapping_%s", **kwargs)  # another form of the page has the same fields

    provider = forms.CharField(label="Sign-in provider", max_length=100)
    external_name = forms.CharField(label="Name of the group there", max_length=255, strip=False)
    group = forms.CharField(label="Group here", max_length=100)


class NewAccessRequest(Form):
    """Which project, which role, and why."""

    slug = forms.CharField(label="Address of the project", max_length=50, help_text="What stands in its links.")
    role = forms.ChoiceField(label="Role", choices=ROLES, initial=Role.VIEWER.value)
    reason = forms.CharField(label="Why", max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))

    def refuse(self, error: DomainError) -> None:
        """The service calls the address ``project``."""
        if error.field == "project":
            self.add_error("slug", error.message)
        else:
            super().refuse(error)


class AccessAnswer(Form):
    """Grant with a role and an end, or decline with a word."""

    verdict = forms.ChoiceField(label="Answer", choices=[("grant", "Grant"), ("decline", "Decline")])
    role = forms.ChoiceField(label="Role to give", choices=ROLES, required=False)
    until = Moment(open_end=True, label="Until", help_text="Empty: the role has no end.")
    answer = forms.CharField(label="Word to the person", max_length=1000, required=False)


class AuditFilter(Form):
    """All optional; a wrong one is said and the rest still applies."""

    actor = forms.CharField(label="Who", max_length=100, required=False)
    verb = forms.CharField(label="Did", max_length=60, required=False)
    target = forms.CharField(label="To", max_length=200, required=False)
    project = forms.CharField(label="Project", max_length=50, required=False)
    text = forms.CharField(label="Text", max_length=200, required=False)
    since = Moment(label="From, UTC")
    until = Moment(label="Until, UTC", open_end=True)
    result = forms.ChoiceField(label="Result", required=False, choices=[("", "any"), *Event.Result.choices])
