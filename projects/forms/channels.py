"""Forms of notification channels. They only parse; the service checks."""

from typing import Any

from django import forms

from mlportal.lib.forms import Form
from projects.models import Channel
from projects.services.channels import ALERT_VERBS, DEFAULT_VERBS, SEVERITIES, VERBS, verbs_of


class _ChannelForm(Form):
    name = forms.CharField(max_length=100)
    verbs = forms.MultipleChoiceField(
        label="What is sent", choices=list(VERBS.items()), initial=DEFAULT_VERBS, widget=forms.CheckboxSelectMultiple
    )
    min_severity = forms.ChoiceField(
        label="Alerts from this severity on", required=False,
        choices=[("", "every alert"), *((name, name.capitalize()) for name in SEVERITIES)],
    )  # fmt: skip


class WebhookForm(_ChannelForm):
    """A webhook."""

    url = forms.CharField(label="Address to call", max_length=4000, help_text="https://… of a public host.")
    field_order = ("name", "url")

    def values(self) -> dict[str, Any]:
        """Plain values for the service."""
        return dict(self.cleaned_data)


class SlackForm(WebhookForm):
    """A Slack-type incoming webhook; its address is a secret."""

    url = forms.CharField(
        label="Address of the incoming webhook", max_length=4000,
        help_text="Of Slack, Mattermost, Rocket.Chat or Discord (with /slack). It is sealed; only its host is shown.",
    )  # fmt: skip


class AppriseForm(WebhookForm):
    """Another service, through Apprise."""

    url = forms.CharField(
        label="Apprise address", max_length=4000,
        help_text="Such as tgram://token/chat, ntfys://topic or msteams://…; the list is Apprise's. It is sealed.",
    )  # fmt: skip


class _AlertsForm(_ChannelForm):
    verbs = forms.MultipleChoiceField(
        label="What is sent", choices=list(verbs_of(Channel.Kind.PAGERDUTY).items()), initial=ALERT_VERBS,
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip

    def values(self) -> dict[str, Any]:
        """Plain values for the service; a secret left empty stays as it is."""
        given = dict(self.cleaned_data)
        return given if given.get("secret") else {name: value for name, value in given.items() if name != "secret"}


class AlertmanagerForm(_AlertsForm):
    """A webhook in Alertmanager's shape."""

    url = forms.CharField(label="Address to call", max_length=4000, help_text="Gets Alertmanager's webhook, version 4.")
    secret = forms.CharField(
        label="Bearer token", max_length=1000, required=False, widget=forms.PasswordInput, help_text="Sealed. Optional."
    )
    field_order = ("name", "url", "secret")


class PagerDutyForm(_AlertsForm):
    """PagerDuty's Events API v2."""

    secret = forms.CharField(
        label="Integration key", max_length=32, required=False, widget=forms.PasswordInput,
        help_text="32 letters and digits of an Events API v2 integration. It is sealed.",
    )  # fmt: skip
    url = forms.CharField(
        label="Address", max_length=400, required=False, help_text="Empty: events.pagerduty.com; else your region's."
    )
    field_order = ("name", "secret", "url")


class EmailForm(_ChannelForm):
    """Mail to some addresses."""

    recipients = forms.CharField(
        label="E-mail addresses", max_length=10_000, widget=forms.Textarea(attrs={"rows": 3}), help_text="One a line."
    )
    field_order = ("name", "recipients")

    def values(self) -> dict[str, Any]:
        """Plain values for the service."""
        return {**self.cleaned_data, "recipients": self.cleaned_data["recipients"].split()}


FORMS: dict[str, type[_ChannelForm]] = {
    Channel.Kind.SLACK.value: SlackForm,
    Channel.Kind.APPRISE.value: AppriseForm,
    Channel.Kind.ALERTMANAGER.value: AlertmanagerForm,
    Channel.Kind.PAGERDUTY.value: PagerDutyForm,
    Channel.Kind.WEBHOOK.value: WebhookForm,
    Channel.Kind.EMAIL.value: EmailForm,
}


def initial_of(channel: Channel) -> dict[str, Any]:
    """What the form shows of a stored channel."""
    shown: dict[str, Any] = {field: getattr(channel, field) for field in ("name", "url", "verbs", "min_severity")}
    return {**shown, "recipients": "\n".join(channel.recipients)}
