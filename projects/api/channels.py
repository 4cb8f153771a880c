"""REST routes of notification channels and of what was sent through them."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib.errors import Invalid
from projects.access import ScopedAPIView
from projects.models import Channel, Delivery
from projects.permissions import Permission
from projects.services import channels, deliveries

URL_TEXT = "http or https, a public host, port 80, 443, 8080 or 8443 unless an administrator allows more."


class ChannelOut(serializers.ModelSerializer):
    """A channel; its secret is never shown again."""

    class Meta:
        model = Channel
        fields = (
            "id", "name", "kind", "enabled", "disabled_reason", "verbs", "min_severity", "url", "recipients",
            "previous_until", "created_at",
        )  # fmt: skip


class ChannelCreated(ChannelOut):
    """A channel with the secret that is shown this once."""

    secret = serializers.CharField(help_text="Empty for e-mail.")

    class Meta(ChannelOut.Meta):
        fields = (*ChannelOut.Meta.fields, "secret")


class ChannelChange(serializers.Serializer):
    """Fields of a channel; those left out stay as they are."""

    name = serializers.CharField(max_length=100, required=False)
    url = serializers.CharField(max_length=2000, required=False, allow_blank=True, help_text=URL_TEXT)
    recipients = serializers.ListField(child=serializers.EmailField(), required=False, max_length=50)
    verbs = serializers.ListField(
        child=serializers.ChoiceField(list(channels.VERBS)), required=False, help_text="Events that are sent."
    )
    min_severity = serializers.ChoiceField(["", *channels.SEVERITIES], required=False)
    enabled = serializers.BooleanField(required=False)


class ChannelIn(ChannelChange):
    """A new channel."""

    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField([kind for kind in Channel.Kind.values if kind != Channel.Kind.MLFLOW])
    secret = serializers.CharField(
        required=False, help_text="Webhook: whsec_ and 24 to 64 bytes in base64, left out: a new one. PagerDuty: the "
        "integration key. Alertmanager: a bearer token, or none.",
    )  # fmt: skip
    enabled = None


class DeliveryOut(serializers.ModelSerializer):
    """A message, where it stands, and each try."""

    channel = serializers.CharField(source="channel.name")
    channel_id = serializers.IntegerField()

    class Meta:
        model = Delivery
        fields = (
            "id", "message_id", "channel", "channel_id", "verb", "subject", "state", "attempts", "tries", "next_at",
            "give_up_at", "created_at", "delivered_at",
        )  # fmt: skip


class Channels(ScopedAPIView):
    """Channels of a project."""

    reads = Channel
    permissions = {"GET": Permission.CHANNEL_EDIT, "POST": Permission.CHANNEL_EDIT}
    idempotent = False  # an answer with a secret is not kept; the unique name makes a repeated call a conflict

    @extend_schema(operation_id="channels_list", responses=ChannelOut(many=True))
    def get(self, request: Request) -> Response:
        """List channels, newest first."""
        return self.page(self.rows().in_project(self.project).filter(removed_at=None), ChannelOut)

    @extend_schema(operation_id="channels_create", request=ChannelIn, responses={201: ChannelCreated})
    def post(self, request: Request) -> Response:
        """Add a channel; the answer holds the webhook's secret, this once."""
        made = channels.create(self.actor, project=self.project, **_body(request, ChannelIn))
        return Response(_created(made), status=status.HTTP_201_CREATED)


class _One(ScopedAPIView):
    abstract = True
    reads = Channel
    permissions = {"POST": Permission.CHANNEL_EDIT}

    def channel(self, number: int) -> Channel:
        """Return the channel of the address."""
        rows = self.rows().in_project(self.project).filter(removed_at=None).select_related("project")
        found: Channel = self.find(rows, pk=number)
        return found


class ChannelDetail(_One):
    """One channel."""

    permissions = {
        "GET": Permission.CHANNEL_EDIT,
        "PATCH": Permission.CHANNEL_EDIT,
        "DELETE": Permission.CHANNEL_EDIT,
    }

    @extend_schema(operation_id="channels_get", responses=ChannelOut)
    def get(self, request: Request, number: int) -> Response:
        """Read a channel."""
        return Response(ChannelOut(self.channel(number)).data)

    @extend_schema(operation_id="channels_update", request=ChannelChange, responses=ChannelOut)
    def patch(self, request: Request, number: int) -> Response:
        """Change a channel."""
        given = _body(request, ChannelChange)
        return Response(ChannelOut(channels.update(self.actor, channel=self.channel(number), **given)).data)

    @extend_schema(operation_id="channels_remove", responses={204: None})
    def delete(self, request: Request, number: int) -> Response:
        """Take a channel away; its log stays."""
        channels.remove(self.actor, channel=self.channel(number))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ChannelTest(_One):
    """A test message."""

    @extend_schema(operation_id="channels_test", request=None, responses={202: DeliveryOut})
    def post(self, request: Request, number: int) -> Response:
        """Send a test message; its outcome shows in the delivery log."""
        made = channels.send_test(self.actor, channel=self.channel(number))
        return Response(DeliveryOut(made).data, status=status.HTTP_202_ACCEPTED)


class ChannelSecret(_One):
    """A new secret."""

    idempotent = False  # an answer with a secret is not kept

    @extend_schema(operation_id="channels_rotate_secret", request=None, responses=ChannelCreated)
    def post(self, request: Request, number: int) -> Response:
        """Rotate a webhook's secret; the old one still signs for 24 hours."""
        return Response(_created(channels.rotate_secret(self.actor, channel=self.channel(number))))


class Deliveries(ScopedAPIView):
    """The delivery log."""

    reads = Delivery
    permissions = {"GET": Permission.CHANNEL_EDIT}

    @extend_schema(
        operation_id="deliveries_list",
        parameters=[OpenApiParameter("state", str, enum=list(Delivery.State.values))],
        responses=DeliveryOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """List messages, newest first."""
        rows = self.rows().in_project(self.project).select_related("channel")
        state = request.query_params.get("state", "")
        if state and state not in Delivery.State.values:
            raise Invalid(f"state must be one of: {', '.join(Delivery.State.values)}.", field="state", got=state[:40])
        return self.page(rows.filter(state=state) if state else rows, DeliveryOut)


class DeliveryResend(ScopedAPIView):
    """Once more."""

    reads = Delivery
    permissions = {"POST": Permission.CHANNEL_EDIT}

    @extend_schema(operation_id="deliveries_resend", request=None, responses={202: DeliveryOut})
    def post(self, request: Request, number: int) -> Response:
        """Send a message again under the same id."""
        rows = self.rows().in_project(self.project).select_related("channel__project")
        sent = deliveries.resend(self.actor, delivery=self.find(rows, pk=number))
        return Response(DeliveryOut(sent).data, status=status.HTTP_202_ACCEPTED)


def _created(made: channels.Created) -> dict[str, Any]:
    return {**ChannelOut(made.channel).data, "secret": made.secret}


def _body(request: Request, shape: type[serializers.Serializer]) -> dict[str, Any]:
    """Return the fields as they came; the service checks their values."""
    if not isinstance(request.data, Mapping):
        raise Invalid("The body must be a JSON object.")
    known = shape().fields
    if unknown := sorted(set(request.data) - set(known)):
        raise Invalid(f"Unknown field {unknown[0]!r}. Known: {', '.join(known)}.", field=unknown[0][:100])
    if missing := [name for name, field in known.items() if field.required and name not in request.data]:
        raise Invalid(f"{missing[0]} is missing.", field=missing[0])
    return dict(request.data)
