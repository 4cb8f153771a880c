"""Forms of notification channels. They only parse; the service checks."""

from typing import Any

from django import forms

from mlportal.lib.forms import Form
from projects.models import Channel
from projects.services.channels import DEFAULT_VERBS, SEVERITIES, VERBS


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


class EmailForm(_ChannelForm):
    """Mail to some addresses."""

    recipients = forms.CharField(
        label="E-mail addresses", max_length=10_000, widget=forms.Textarea(attrs={"rows": 3}), help_text="One a line."
    )
    field_order = ("name", "recipients")

    def values(self) -> dict[str, Any]:
        """Plain values for the service."""
        return {**self.cleaned_data, "recipients": self.cleaned_data["recipients"].split()}


FORMS: dict[str, type[WebhookForm] | type[EmailForm]] = {
    Channel.Kind.WEBHOOK.value: WebhookForm,
    Channel.Kind.EMAIL.value: EmailForm,
}


def initial_of(channel: Channel) -> dict[str, Any]:
    """What the form shows of a stored channel."""
    shown: dict[str, Any] = {field: getattr(channel, field) for field in ("name", "url", "verbs", "min_severity")}
    return {**shown, "recipients": "\n".join(channel.recipients)}
