"""Pages of notification channels: list with the delivery log, new, edit, and their buttons."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from mlportal.lib.errors import Conflict, Missing
from projects.access import ProjectView
from projects.forms import channels as forms
from projects.models import Channel, Delivery
from projects.permissions import Permission
from projects.services import channels, deliveries
from projects.services.channels import VERBS
from projects.views.accounts import see_other

LOG_LINES = 50


class _Channels(ProjectView):
    abstract = True
    reads = Channel
    permission = Permission.CHANNEL_EDIT

    def held(self) -> Any:
        """Channels that exist."""
        return self.rows().in_project(self.project).filter(removed_at=None)

    def channel(self, number: int) -> Channel:
        """Return the channel of the address."""
        found: Channel = self.find(self.held().select_related("project"), pk=number)
        return found

    def home(self) -> HttpResponse:
        """Back to the list."""
        return see_other(reverse("projects:channel-list", args=[self.project.slug]))

    def form_page(
        self, request: HttpRequest, form: Any, kind: str, channel: Channel | None, status: int
    ) -> HttpResponse:
        """Render the form of a new or stored channel."""
        label = Channel.Kind(kind).label
        values = {"form": form, "kind": kind, "channel": channel, "kind_label": label}
        return render(request, "projects/channel.html", values, status=status)

    def secret_page(self, request: HttpRequest, made: channels.Created) -> HttpResponse:
        """Show a secret, this once."""
        return render(request, "projects/channel_secret.html", {"channel": made.channel, "secret": made.secret})


class ChannelList(_Channels):
    """Channels and the newest messages."""

    def get(self, request: HttpRequest) -> HttpResponse:
        sent = Delivery.objects.visible_to(self.actor).in_project(self.project).select_related("channel")
        values = {
            "channels": self.held().order_by("name"),
            "deliveries": sent.order_by("-pk")[:LOG_LINES],
            "words": VERBS,
            "kinds": [(kind, Channel.Kind(kind).label) for kind in forms.FORMS],
        }
        return render(request, "projects/channels.html", values)


class ChannelNew(_Channels):
    """A new channel of one kind."""

    def get(self, request: HttpRequest, kind: str) -> HttpResponse:
        return self.form_page(request, _form(kind)(), kind, None, 200)

    def post(self, request: HttpRequest, kind: str) -> HttpResponse:
        form = _form(kind)(request.POST)
        made = form.attempt(lambda: self._create(kind, form)) if form.is_valid() else None
        if made is None:
            return self.form_page(request, form, kind, None, 422)
        if made.secret:
            return self.secret_page(request, made)
        messages.success(request, f"The channel “{made.channel.name}” is ready. Send it a test message.")
        return self.home()

    def _create(self, kind: str, form: Any) -> channels.Created:
        return channels.create(self.actor, project=self.project, kind=kind, **form.values())


class ChannelEdit(_Channels):
    """One channel."""

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        channel = self.channel(number)
        form = _form(channel.kind)(initial=forms.initial_of(channel))
        return self.form_page(request, form, channel.kind, channel, 200)

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        channel = self.channel(number)
        form = _form(channel.kind)(request.POST)
        saved = form.attempt(lambda: self._update(channel, form)) if form.is_valid() else None
        if saved is None:
            return self.form_page(request, form, channel.kind, channel, 422)
        messages.success(request, f"The channel “{saved.name}” is saved.")
        return self.home()

    def _update(self, channel: Channel, form: Any) -> Channel:
        values = form.values()
        secret = values.pop("secret", "")
        saved = channels.update(self.actor, channel=channel, **values)
        return channels.replace_secret(self.actor, channel=saved, secret=secret) if secret else saved


class ChannelAction(_Channels):
    """A button of a channel."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, number: int, action: str) -> HttpResponse:
        channel = self.channel(number)
        if action == "rotate":
            return self.secret_page(request, channels.rotate_secret(self.actor, channel=channel))
        handler = ACTIONS.get(action)
        if handler is None:
            raise Missing(f"A channel has no button {action!r}.")
        messages.success(request, handler(self, channel))
        return self.home()


class DeliveryResend(ProjectView):
    """Send a message again."""

    reads = Delivery
    permission = Permission.CHANNEL_EDIT
    http_method_names = ["post"]

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        rows = self.rows().in_project(self.project).select_related("channel__project")
        try:
            sent = deliveries.resend(self.actor, delivery=self.find(rows, pk=number))
        except Conflict as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"Message {sent.message_id} is sent again.")
        return see_other(reverse("projects:channel-list", args=[self.project.slug]))


def _form(kind: str) -> Any:
    if kind not in forms.FORMS:
        raise Missing(f"There is no kind of channel {kind!r}.")
    return forms.FORMS[kind]


def _test(view: ChannelAction, channel: Channel) -> str:
    channels.send_test(view.actor, channel=channel)
    return f"A test message to “{channel.name}” is on its way; see the log below."


def _remove(view: ChannelAction, channel: Channel) -> str:
    channels.remove(view.actor, channel=channel)
    return f"The channel “{channel.name}” is removed."


def _switch(view: ChannelAction, channel: Channel) -> str:
    changed = channels.update(view.actor, channel=channel, enabled=not channel.enabled)
    return f"The channel “{changed.name}” is {'on' if changed.enabled else 'off'}."


ACTIONS: dict[str, Callable[[ChannelAction, Channel], str]] = {"test": _test, "remove": _remove, "switch": _switch}
