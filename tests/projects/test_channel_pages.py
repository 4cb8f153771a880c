"""Pages and REST routes of channels and deliveries."""

import pytest
from django.utils import timezone

from projects.models import Channel, Delivery
from projects.services import deliveries
from tests.factories.projects import make_project, make_token, make_user

pytestmark = pytest.mark.django_db
ROOT = "/p/churn/settings/"
HOOK = {"name": "On call", "url": "https://hooks.example.org/T1/x", "verbs": ["alert.firing"], "min_severity": ""}
MAIL = {"name": "Team", "recipients": "a@example.org\nb@example.org", "verbs": ["alert.firing"], "min_severity": "high"}


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def site(client, project):
    client.force_login(make_user("olga", role="ops", project=project))
    return client


@pytest.fixture
def api(client, project):
    token = make_token(make_user("adam", role="admin", project=project), project, ["read", "admin"])

    def call(method, path, body=None):
        options = {"headers": {"Authorization": f"Bearer {token}"}}
        if method != "get":
            options |= {"data": body if body is not None else {}, "content_type": "application/json"}
        return getattr(client, method)(f"/api/v1/projects/churn/{path}", **options)

    return call


def test_webhook_is_made_and_its_secret_shown_once(site):
    assert "Nobody is told yet" in site.get(f"{ROOT}channels/").content.decode()
    assert site.get(f"{ROOT}channels/new/webhook/").status_code == 200
    text = site.post(f"{ROOT}channels/new/webhook/", HOOK).content.decode()
    assert "whsec_" in text
    channel = Channel.objects.get()
    for path in ("channels/", f"channels/{channel.pk}/"):
        assert "whsec_" not in site.get(ROOT + path).content.decode()
    assert "whsec_" in site.post(f"{ROOT}channels/{channel.pk}/rotate/").content.decode()


def test_mail_channel_is_made_changed_switched_and_removed(site):
    assert site.post(f"{ROOT}channels/new/email/", MAIL).status_code == 303
    channel = Channel.objects.get()
    assert channel.recipients == ["a@example.org", "b@example.org"]
    path = f"{ROOT}channels/{channel.pk}/"
    assert site.post(path, MAIL | {"name": "Crew"}).status_code == 303
    assert site.post(f"{path}switch/").status_code == 303
    channel.refresh_from_db()
    assert (channel.name, channel.enabled) == ("Crew", False)
    assert site.post(f"{path}remove/").status_code == 303
    assert site.get(path).status_code == 404


@pytest.mark.parametrize(
    ("kind", "change", "word"),
    [
        ("webhook", {"url": "http://10.0.0.1/"}, "internal"),
        ("webhook", {"url": "nonsense"}, "http://"),
        ("webhook", {"verbs": []}, "required"),
        ("email", {"recipients": "nobody"}, "not an e-mail address"),
    ],
)
def test_wrong_channel_is_shown_again(site, kind, change, word):
    answer = site.post(f"{ROOT}channels/new/{kind}/", (HOOK if kind == "webhook" else MAIL) | change)
    assert answer.status_code == 422
    assert word in answer.content.decode()


def test_unknown_kind_and_button_are_absent(site):
    assert site.get(f"{ROOT}channels/new/pigeon/").status_code == 404
    site.post(f"{ROOT}channels/new/email/", MAIL)
    assert site.post(f"{ROOT}channels/{Channel.objects.get().pk}/explode/").status_code == 404


def test_test_message_and_resend_show_in_the_log(site):
    site.post(f"{ROOT}channels/new/email/", MAIL)
    site.post(f"{ROOT}channels/{Channel.objects.get().pk}/test/")
    delivery = Delivery.objects.get()
    assert "Test message of mlportal" in site.get(f"{ROOT}channels/").content.decode()
    resend = f"{ROOT}deliveries/{delivery.pk}/resend/"
    assert site.post(resend).status_code == 303
    assert "waiting for its first try" in site.get(f"{ROOT}channels/").content.decode()
    deliveries.send(delivery.pk)
    site.post(resend)
    delivery.refresh_from_db()
    assert delivery.state == "pending"


@pytest.mark.parametrize("count", [1, 3])
def test_channel_page_has_a_fixed_number_of_queries(site, count, django_assert_num_queries):
    for number in range(count):
        site.post(f"{ROOT}channels/new/email/", MAIL | {"name": f"Team {number}"})
    for channel in Channel.objects.all():
        site.post(f"{ROOT}channels/{channel.pk}/test/")
    site.get(f"{ROOT}channels/")
    with django_assert_num_queries(CHANNEL_QUERIES):
        site.get(f"{ROOT}channels/")


CHANNEL_QUERIES = 7


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("scientist", 403), ("manager", 403), ("admin", 200)])
def test_addresses_are_shown_to_editors_only(client, project, role, status):
    client.force_login(make_user("eve", role=role, project=project))
    assert client.get(f"{ROOT}channels/").status_code == status


def test_api_line(api):
    made = api("post", "channels/", {"name": "On call", "kind": "webhook", "url": HOOK["url"]})
    assert (made.status_code, made.json()["secret"][:6]) == (201, "whsec_")
    number = made.json()["id"]
    assert "secret" not in api("get", f"channels/{number}/").json()
    assert api("patch", f"channels/{number}/", {"enabled": False}).json()["enabled"] is False
    assert api("patch", f"channels/{number}/", {"enabled": True}).json()["enabled"] is True
    assert api("post", f"channels/{number}/rotate-secret/").json()["secret"] != made.json()["secret"]
    sent = api("post", f"channels/{number}/test/")
    assert (sent.status_code, sent.json()["state"]) == (202, "pending")
    assert len(api("get", "deliveries/?state=pending").json()["results"]) == 1
    Delivery.objects.update(state="dead", tries=[{"at": timezone.now().isoformat()}])
    assert api("post", f"deliveries/{sent.json()['id']}/resend/").status_code == 202
    assert api("delete", f"channels/{number}/").status_code == 204
    assert api("get", "channels/").json()["results"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "kind": "webhook", "url": "http://127.0.0.1/"}, "url"),
        ({"name": "x", "kind": "webhook", "url": HOOK["url"], "secret": ""}, "secret"),
        ({"name": "x", "kind": "webhook", "url": HOOK["url"], "verbs": ["no"]}, "verbs"),
        ({"name": "x", "kind": ["webhook"]}, "kind"),
        ({"name": {}, "kind": "email", "recipients": ["a@example.org"]}, "name"),
        ({"name": "x", "kind": "email", "recipients": [5]}, "recipients"),
        ({"name": "x"}, "kind"),
        ({"name": "x", "kind": "email", "colour": 1}, "colour"),
    ],
)
def test_api_refuses_by_name(api, body, field):
    answer = api("post", "channels/", body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_api_refuses_a_list_and_an_unknown_state(api):
    assert api("post", "channels/", []).status_code == 400
    assert api("get", "deliveries/?state=lost").status_code == 400
