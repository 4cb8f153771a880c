"""The second factor: codes of an app, recovery codes, the step at sign-in, roles that need it."""

import base64
import hashlib
import re

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from deployments.services import promotions
from mlportal.lib import sealed, totp
from mlportal.lib.errors import Conflict, Forbidden, Invalid, TooMany
from projects.models import Event, EventDelivery, RecoveryCode, SecondFactor, Session, User
from projects.services import factors, second_factor, stepup
from projects.tasks import tell_of_reset
from tests.factories.deployments import make_request, make_team, make_version
from tests.factories.projects import PASSWORD, actor, make_project, make_token, make_user

pytestmark = pytest.mark.django_db
KEY = base64.b32encode(b"12345678901234567890").decode()


def code_now(key: str = KEY, shift: int = 0) -> str:
    return totp.code_at(key, int(timezone.now().timestamp() // 30) + shift)


def give_factor(user: User) -> list[str]:
    """The factor is on; no code of its app was used yet."""
    made = SecondFactor.objects.create(user=user, sealed=sealed.seal(KEY))
    User.objects.filter(pk=user.pk).update(second_factor_at=timezone.now())
    user.refresh_from_db()
    return factors.new_codes(made)


def first_step(name: str, **extra: str) -> Client:
    client = Client()
    answer = client.post("/sign-in/", {"username": name, "password": PASSWORD, **extra})
    assert answer.headers["Location"] == "/sign-in/code/"
    return client


# ---------------------------------------------------------------- codes


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(seconds, code):
    assert totp.code_at(KEY, seconds // 30) == code  # RFC 6238, appendix B, the last six digits


def test_a_code_fits_one_step_before_and_after_now_and_never_twice():
    now = 3000.0
    for shift, fits in [(-2, False), (-1, True), (0, True), (1, True), (2, False)]:
        found = totp.step_of(KEY, totp.code_at(KEY, 100 + shift), now=now, after=0)
        assert found == (100 + shift if fits else None)
    assert totp.step_of(KEY, totp.code_at(KEY, 100), now=now, after=100) is None


def test_the_picture_says_the_address_of_the_key():
    width, path = totp.path_of(totp.address(KEY, account="ana", issuer="mlportal"))
    assert width > 30
    assert re.fullmatch(r"(M\d+ \d+h1v1h-1z)+", path)
    assert KEY in totp.address(KEY, account="ana", issuer="mlportal")


# ---------------------------------------------------------------- switching it on


def test_the_page_offers_a_key_and_takes_its_first_code():
    ana = make_user("ana")
    client, elsewhere = Client(), Client()
    client.force_login(ana), elsewhere.force_login(ana)
    page = client.get("/account/second-factor/").content.decode()
    key = re.search(r'id="key">([A-Z2-7 ]+)<', page)[1].replace(" ", "")
    assert "<svg" in page
    assert "<img" not in page.split('class="qr"')[1][:200]
    assert client.post("/account/second-factor/", {"code": "000000"}).status_code == 422
    done = client.post("/account/second-factor/", {"code": code_now(key)})
    assert done.status_code == 201
    codes = re.findall(r"[a-z2-9]{4}(?:-[a-z2-9]{4}){3}", done.content.decode())
    assert len(codes) >= 10
    held = SecondFactor.objects.get()
    assert key not in held.sealed
    assert {row.sha256 for row in RecoveryCode.objects.all()} == {
        hashlib.sha256(code.replace("-", "").encode()).hexdigest() for code in codes[:10]
    }
    assert client.get("/account/second-factor/").status_code == 200
    assert key not in client.get("/account/second-factor/").content.decode()
    assert elsewhere.get("/account/").status_code == 302, "other sessions ended"
    for event in Event.objects.all():
        assert key not in str(event.entry())


def test_it_is_not_switched_on_twice_nor_from_an_old_session():
    ana = make_user("ana")
    second_factor.enable(actor(ana), key=KEY, code=code_now())
    ana.refresh_from_db()
    with pytest.raises(Conflict):
        second_factor.enable(actor(ana), key=KEY, code=code_now())
    stale = actor(make_user("bob"))
    object.__setattr__(stale, "authenticated_at", None)
    with pytest.raises(Forbidden) as refused:
        second_factor.enable(stale, key=KEY, code=code_now())
    assert refused.value.code == stepup.CODE


# ---------------------------------------------------------------- at sign-in


def test_the_password_alone_opens_nothing():
    ana = make_user("ana")
    give_factor(ana)
    client = first_step("ana")
    for path in ("/", "/account/", "/projects/"):
        assert client.get(path).headers["Location"].startswith("/sign-in/")
    assert not Session.objects.filter(user=ana).exists()
    assert not Event.objects.filter(verb="user.signed_in").exists()


def test_the_code_lets_in_under_a_fresh_key_and_goes_where_one_wanted():
    ana = make_user("ana")
    give_factor(ana)
    client = first_step("ana", next="/account/tokens/")
    before = client.cookies["mlportal_session"].value
    done = client.post("/sign-in/code/", {"code": code_now()})
    assert (done.status_code, done.headers["Location"]) == (303, "/account/tokens/")
    assert client.cookies["mlportal_session"].value != before
    assert client.get("/account/").status_code == 200
    assert Event.objects.get(verb="user.signed_in").data == {"method": "password, app"}


def test_a_code_works_once():
    give_factor(make_user("ana"))
    code = code_now()
    assert first_step("ana").post("/sign-in/code/", {"code": code}).status_code == 303
    assert first_step("ana").post("/sign-in/code/", {"code": code}).status_code == 422


def test_a_recovery_code_works_once():
    codes = give_factor(make_user("ana"))
    typed = codes[0].upper().replace("-", " ")
    assert first_step("ana").post("/sign-in/code/", {"code": typed}).status_code == 303
    assert first_step("ana").post("/sign-in/code/", {"code": codes[0]}).status_code == 422
    assert first_step("ana").post("/sign-in/code/", {"code": codes[1]}).status_code == 303


def test_guessing_is_limited_and_the_right_code_is_refused_then_too():
    give_factor(make_user("ana"))
    client = first_step("ana")
    for _ in range(10):
        assert client.post("/sign-in/code/", {"code": "nonsense"}).status_code == 422
    answer = client.post("/sign-in/code/", {"code": code_now()})
    assert answer.status_code == 422
    assert "Too many tries" in answer.content.decode()
    assert Event.objects.filter(verb="user.second_factor_failed").count() == 10


@pytest.mark.parametrize("change", ["late", "closed", "password"])
def test_who_waits_too_long_or_was_closed_begins_again(change):
    ana = make_user("ana")
    give_factor(ana)
    client = first_step("ana")
    if change == "late":
        session = client.session
        session["second_step"] = {**session["second_step"], "until": 0}
        session.save()
    elif change == "closed":
        User.objects.filter(pk=ana.pk).update(is_active=False)
    else:
        ana.set_password("another long sentence")
        ana.save()
    assert client.post("/sign-in/code/", {"code": code_now()}).headers["Location"] == "/sign-in/"
    assert not Session.objects.filter(user=ana).exists()


def test_without_the_password_there_is_no_second_step():
    assert Client().get("/sign-in/code/").headers["Location"] == "/sign-in/"
    assert Client().post("/sign-in/code/", {"code": "123456"}).headers["Location"] == "/sign-in/"


def test_a_password_does_not_do_for_tracking_any_more(client):
    project = make_project("churn")
    ana = make_user("ana", role="scientist", project=project)
    header = "Basic " + base64.b64encode(f"ana:{PASSWORD}".encode()).decode()
    path = "/p/churn/api/2.0/mlflow/experiments/search?max_results=1"
    assert client.get(path, headers={"authorization": header}).status_code == 200
    give_factor(ana)
    assert client.get(path, headers={"authorization": header}).status_code == 403
    token = {"authorization": f"Bearer {make_token(ana, project, ['read'])}"}
    assert client.get(path, headers=token).status_code == 200


# ---------------------------------------------------------------- switching it off, new codes, reset


def test_switching_off_takes_password_and_code():
    ana = make_user("ana")
    codes = give_factor(ana)
    for password, code in [(PASSWORD, "123"), ("wrong", codes[0])]:
        with pytest.raises(Invalid) as refused:
            second_factor.disable(actor(ana), password=password, code=code)
        assert refused.value.message == "The password or the code is wrong."
    client = Client()
    client.force_login(ana)
    assert client.post("/account/second-factor/off/", {"password": PASSWORD, "code": codes[1]}).status_code == 303
    ana.refresh_from_db()
    assert ana.second_factor_at is None
    assert SecondFactor.objects.get().sealed == ""
    assert not RecoveryCode.objects.exists()


def test_new_recovery_codes_end_the_old_ones():
    ana = make_user("ana")
    codes = give_factor(ana)
    client = Client()
    client.force_login(ana)
    assert client.get("/account/second-factor/codes/").status_code == 200
    made = client.post("/account/second-factor/codes/", {"password": PASSWORD, "code": codes[0]})
    assert made.status_code == 201
    assert factors.check(ana, codes[1]) == ""
    assert second_factor.left(ana) == 10


def test_an_administrator_resets_it_and_the_person_is_told():
    root, ana = make_user("root", is_site_admin=True), make_user("ana")
    give_factor(ana)
    client, hers = Client(), Client()
    client.force_login(root), hers.force_login(ana)
    assert hers.post("/admin/users/ana/second-factor/", {"reason": "me"}).status_code == 403
    assert client.post("/admin/users/ana/second-factor/", {"reason": "lost the phone"}).status_code == 303
    ana.refresh_from_db()
    assert ana.second_factor_at is None
    assert hers.get("/account/").status_code == 302
    tell_of_reset(EventDelivery.objects.get(event__verb="user.second_factor_reset").pk)
    assert [message.to for message in mail.outbox] == [["ana@example.org"]]


def test_the_api_tells_the_state_and_lets_an_administrator_reset(client):
    ana = make_user("ana")
    give_factor(ana)
    header = {"authorization": f"Bearer {make_token(ana, None, ['read', 'admin'])}"}
    state = client.get("/api/v1/account/second-factor/", headers=header).json()
    assert (state["enabled"], state["required"], state["recovery_codes_left"]) == (True, False, 10)
    path = "/api/v1/users/ana/second-factor/reset/"
    assert client.post(path, {"reason": "x"}, "application/json", headers=header).status_code == 403
    root = {"authorization": f"Bearer {make_token(make_user('root', is_site_admin=True), None, ['admin'])}"}
    assert client.post(path, {"reason": "lost"}, "application/json", headers=root).json()["enabled"] is False


def test_a_code_is_a_proof_where_the_portal_asks_again():
    ana = make_user("ana")
    codes = give_factor(ana)
    stepup.confirm(actor(ana), proof=code_now())
    stepup.confirm(actor(ana), proof=codes[0])
    stepup.confirm(actor(ana), proof=PASSWORD)
    with pytest.raises(Invalid):
        stepup.confirm(actor(ana), proof=codes[0])


def test_a_password_given_as_a_proof_uses_up_no_tries_of_the_codes():
    ana = make_user("ana")
    codes = give_factor(ana)
    for _ in range(12):
        stepup.confirm(actor(ana), proof=PASSWORD)
    assert factors.check(ana, codes[0]) == "recovery"


def test_a_day_has_fewer_tries_than_its_quarters_of_an_hour(monkeypatch):
    ana = make_user("ana")
    codes = give_factor(ana)
    monkeypatch.setattr(factors, "LIMITS", ((15 * 60, 1000), (86_400, 50)))
    for _ in range(50):
        factors.check(ana, "nonsense")
    with pytest.raises(TooMany):
        factors.check(ana, codes[0])


# ---------------------------------------------------------------- roles that need it


@pytest.mark.parametrize(("asked", "led"), [([], False), (["manager"], True), (["ops"], False)])
def test_somebody_of_such_a_role_is_led_to_set_it_up(settings, asked, led):
    settings.SECOND_FACTOR_ROLES = asked
    project = make_project("churn")
    mona = make_user("mona", role="manager", project=project)
    client = Client()
    client.force_login(mona)
    answer = client.get("/p/churn/")
    assert (answer.status_code == 302) is led
    if led:
        assert answer.headers["Location"] == "/account/second-factor/"
        assert "Your role needs a second factor" in client.get("/account/second-factor/").content.decode()
        second_factor.enable(actor(mona), key=KEY, code=code_now())
        mona.refresh_from_db()
        client.force_login(mona)
        assert client.get("/p/churn/").status_code == 200
        second_factor.disable(actor(mona), password=PASSWORD, code=code_now(shift=1))
        client.force_login(mona)
        assert client.get("/p/churn/").headers["Location"] == "/account/second-factor/", "and at once to another"


def test_site_administrators_are_named_by_a_word_of_their_own(settings):
    settings.SECOND_FACTOR_ROLES = ["site"]
    client = Client()
    client.force_login(make_user("root", is_site_admin=True))
    assert client.get("/admin/").status_code == 302
    client.force_login(make_user("ana"))
    assert client.get("/account/").status_code == 200


def test_a_decision_reads_it_inside_its_transaction_whatever_the_door(settings):
    settings.SECOND_FACTOR_ROLES = ["manager"]
    team = make_team("churn")
    request = make_request(team, version=make_version(team))
    with pytest.raises(Forbidden) as refused:
        promotions.decide(team.manager, request=request, verdict="approve")
    assert refused.value.code == factors.REQUIRED
    give_factor(team.manager.user)
    promotions.decide(team.manager, request=request, verdict="approve")
    request.refresh_from_db()
    assert request.state == "approved"


def test_the_limit_of_one_person_is_not_that_of_another():
    ana, bob = make_user("ana"), make_user("bob")
    give_factor(ana)
    codes = give_factor(bob)
    for _ in range(10):
        factors.check(ana, "nonsense")
    with pytest.raises(TooMany):
        factors.check(ana, code_now())
    assert factors.check(bob, codes[0]) == "recovery"
