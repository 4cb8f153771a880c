"""Journey M1 in a browser: decide a promotion 3 clicks from the notification, at the desk and on a phone."""

import contextlib
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, expect, sync_playwright

from deployments.models import Delegation, Endpoint, PromotionRequest
from projects.models import Delivery, EventDelivery
from projects.services import channels, deliveries
from tests.e2e.browser import Person, launch
from tests.factories.deployments import difference, make_live, make_request, result
from tests.factories.projects import PASSWORD

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def notified(serial_team) -> tuple[PromotionRequest, str]:
    """A request with a failed advisory gate, and the address in the message about it."""
    team = serial_team
    channels.create(
        team.admin, project=team.project, name="desk", kind="email", recipients=["a@example.org"],
        verbs=["promotion.requested"],
    )  # fmt: skip
    make_live(team)
    found = result(production=0.87)
    found["metrics"][1] = difference("f1", 0.5, 0.7)
    more = ("accuracy", "balanced_accuracy", "precision", "recall", "average_precision", "log_loss")
    found["metrics"] += [difference(name, 0.81, 0.81) for name in more]
    request = make_request(team, found=found)
    for pk in EventDelivery.objects.filter(task="projects.notify", event__target_id=request.pk).values_list("pk"):
        deliveries.fan_out(pk[0])
    link = Delivery.objects.order_by("-pk")[0].payload["data"]["link"]
    return request, urlsplit(link).path


@contextlib.contextmanager
def manager(live_server, size: str):
    with sync_playwright() as playwright:
        browser = launch(playwright)
        person = Person(browser, live_server.url, size=size)
        person.sign_in("churn-manager", PASSWORD)
        yield person
        with contextlib.suppress(Error):
            browser.close()


@pytest.mark.parametrize("size", ["desk", "phone"])
def test_a_promotion_is_decided_3_clicks_from_the_notification(live_server, notified, size):
    request, path = notified
    with manager(live_server, size) as person:
        page = person.page
        person.go(path)  # click 1: the link in the message
        page.get_by_label("I have read:").check()  # click 2
        buttons = page.locator(".actionbar" if size == "phone" else ".decisionbtns")
        approve = buttons.get_by_role("button", name="Approve")
        expect(approve).to_be_in_viewport()
        approve.click()  # click 3
        expect(page.get_by_text("churn-manager approved", exact=True)).to_be_visible()
        assert person.trouble == []
    assert PromotionRequest.objects.get(pk=request.pk).state == "approved"
    assert Endpoint.objects.get().current_revision.promotion_id == request.pk


def test_the_page_to_decide_on_is_one_screen_without_barriers(live_server, notified):
    """Verdict, candidate against production, gates and decision stand on 1440 by 900 before anybody scrolls."""
    with manager(live_server, "desk") as person:
        person.go(notified[1])
        for name in ("Decision", "Candidate and production", "Gates", "What changed"):
            box = person.page.locator("section.card").filter(has=person.page.locator(f"h2:text-is('{name}')"))
            place = box.bounding_box()
            assert place["y"] > 0, name
            assert place["y"] + place["height"] <= 900, f"{name} ends at {place['y'] + place['height']:.0f} px"
        assert person.page.locator(".verdict").bounding_box()["y"] < 200
        person.page.get_by_text("Bind conditions").click()
        person.look("decide")
        assert person.trouble == []


def test_the_right_to_decide_is_handed_over_in_2_clicks_from_the_inbox(live_server, notified):
    with manager(live_server, "desk") as person:
        page = person.page
        person.go("/inbox/")
        page.get_by_text("Hand over your right to decide").click()  # click 1
        page.get_by_label("To", exact=True).select_option(label="churn-ops")
        page.get_by_label("Reason").fill("On leave until Monday.")
        page.get_by_role("button", name="Hand over").click()  # click 2
        expect(page.get_by_text("churn-ops decides for you")).to_be_visible()
        page.get_by_text("Hand over your right to decide").click()
        person.look("inbox")
        assert person.trouble == []
    assert Delegation.objects.get().taker.username == "churn-ops"
