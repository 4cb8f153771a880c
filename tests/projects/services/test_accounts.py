from dataclasses import replace
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from mlportal.lib.errors import Conflict, Forbidden, Invalid, TooMany
from projects.models import Event, SetupSecret, User
from projects.services import accounts, known_browsers, signing_in
from tests.factories.projects import PASSWORD, actor, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(db):
    return make_user("root", is_site_admin=True)


def verbs() -> list[str]:
    return list(Event.objects.order_by("seq").values_list("verb", flat=True))


def secret_of(link: str) -> str:
    return link.removeprefix(f"{settings.BASE_URL}/set-up/").rstrip("/")


def set_up(secret: str) -> User:
    return accounts.set_up(secret, username="ana", email="ana@example.org", password=PASSWORD)


def test_setup_link_is_kept_as_a_hash():
    secret = secret_of(accounts.setup_link())
    assert len(secret) == 43
    assert SetupSecret.objects.get().sha256 == accounts._sha256(secret)


def test_setup_link_works_once():
    secret = secret_of(accounts.setup_link())
    assert accounts.setup_is_open(secret)
    user = set_up(secret)
    assert (user.is_site_admin, user.check_password(PASSWORD), verbs()) == (True, True, ["user.created"])
    assert not accounts.setup_is_open(secret)
    with pytest.raises(Forbidden):
        accounts.set_up(secret, username="eve", email="eve@example.org", password=PASSWORD)
    assert User.objects.count() == 1


def test_a_new_setup_link_replaces_the_old():
    old = secret_of(accounts.setup_link())
    accounts.setup_link()
    assert not accounts.setup_is_open(old)


def test_a_refused_password_leaves_the_link_usable():
    secret = secret_of(accounts.setup_link())
    with pytest.raises(Invalid):
        accounts.set_up(secret, username="ana", email="ana@example.org", password="short")
    assert accounts.setup_is_open(secret)


def test_no_setup_link_once_there_is_an_administrator(root):
    assert accounts.setup_link() is None


def test_sign_in_ignores_the_case_of_the_name(root):
    assert signing_in.sign_in("ROOT", PASSWORD, address="10.0.0.1") == root
    assert verbs() == ["user.signed_in"]


@pytest.mark.parametrize("name", ["root", "nobody", "gone", "ro\x00ot"])
def test_sign_in_answers_every_mistake_alike(root, name):
    make_user("gone", is_active=False)
    with pytest.raises(Forbidden) as refused:
        signing_in.sign_in(name, PASSWORD if name == "gone" else "wrong password", address="10.0.0.1")
    assert (refused.value.message, verbs()) == (signing_in.WRONG, ["user.sign_in_failed"])


def test_too_many_tries_refuse_the_right_password_too(root):
    for _ in range(signing_in.TRIES_PER_ACCOUNT):
        with pytest.raises(Forbidden):
            signing_in.sign_in("root", "wrong password", address="10.0.0.1")
    with pytest.raises(TooMany) as refused:
        signing_in.sign_in("Root", PASSWORD, address="10.0.0.2")
    assert 0 < refused.value.retry_after <= signing_in.WINDOW_SECONDS + 1


def test_guesses_elsewhere_do_not_lock_the_owner_out_of_a_browser_they_used(root):
    """Neither those for the account nor those from the address they share; the browser has a count of its own."""
    client = Client()
    form = {"username": "root", "password": PASSWORD}
    assert client.post("/sign-in/", form).status_code == 303
    client.post("/sign-out/")
    stranger = Client()
    for _ in range(signing_in.TRIES_PER_ACCOUNT):
        stranger.post("/sign-in/", {**form, "password": "wrong password"})
    assert stranger.post("/sign-in/", form).status_code == 429
    assert client.post("/sign-in/", form).status_code == 303
    kept = client.cookies[known_browsers.COOKIE]
    assert (kept["httponly"], kept["samesite"], kept["path"]) == (True, "Strict", "/sign-in/")
    for name, mark in (("root", kept.value + "x"), ("nobody", kept.value)):  # a forged mark, and one of another account
        assert known_browsers.of(signing_in.account_of(name), mark) == ""
    client.post("/sign-out/")
    for _ in range(signing_in.TRIES_PER_ACCOUNT):
        client.post("/sign-in/", {**form, "password": "wrong password"})
    assert client.post("/sign-in/", form).status_code == 429


def test_a_success_clears_the_count_of_the_account(root):
    for _ in range(2):
        for _ in range(signing_in.TRIES_PER_ACCOUNT - 1):
            with pytest.raises(Forbidden):
                signing_in.sign_in("root", "wrong password", address="10.0.0.1")
        signing_in.sign_in("root", PASSWORD, address="10.0.0.1")


def test_one_address_cannot_try_many_accounts(monkeypatch):
    monkeypatch.setattr(signing_in, "TRIES_PER_ADDRESS", 3)
    for name in ("a", "b", "c"):
        with pytest.raises(Forbidden):
            signing_in.sign_in(name, "wrong password", address="10.0.0.9")
    with pytest.raises(TooMany):
        signing_in.sign_in("d", "wrong password", address="10.0.0.9")


def test_people_who_come_in_do_not_use_up_the_tries_of_their_address(root, monkeypatch):
    monkeypatch.setattr(signing_in, "TRIES_PER_ADDRESS", 2)
    for _ in range(4):
        signing_in.sign_in("root", PASSWORD, address="10.0.0.9")


def test_change_password(root):
    accounts.change_password(actor(root), old=PASSWORD, new="another long sentence")
    root.refresh_from_db()
    assert (root.check_password("another long sentence"), verbs()) == (True, ["user.password_changed"])


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [("wrong", "another long sentence", "old"), (PASSWORD, "tooshort", "new"), (PASSWORD, "password1234", "new")],
)
def test_change_password_refuses(root, old, new, field):
    with pytest.raises(Invalid) as refused:
        accounts.change_password(actor(root), old=old, new=new)
    assert (refused.value.field, verbs()) == (field, [])


def profile(**changes: object) -> dict[str, object]:
    return {"display_name": "Ana Ruiz", "email": "ana@example.org", "theme": "dark", "density": "comfortable",
            "time_zone": "Europe/Madrid", "single_keys": False, **changes}  # fmt: skip


def test_edit_profile(root):
    accounts.edit_profile(actor(root), **profile())
    root.refresh_from_db()
    kept = (root.display_name, root.email, root.theme, root.density, root.time_zone, root.single_keys)
    assert kept == ("Ana Ruiz", "ana@example.org", "dark", "comfortable", "Europe/Madrid", False)
    assert (root.initials, verbs()) == ("AR", ["user.edited"])


@pytest.mark.parametrize(
    ("field", "value"), [("theme", "pink"), ("density", "x"), ("time_zone", "Mars"), ("email", "no address")]
)
def test_edit_profile_refuses(root, field, value):
    with pytest.raises(Invalid) as refused:
        accounts.edit_profile(actor(root), **profile(**{field: value}))
    assert refused.value.field == field


def test_choose_theme(root):
    assert accounts.choose_theme(actor(root), theme="dark").theme == "dark"
    with pytest.raises(Invalid):
        accounts.choose_theme(actor(root), theme="pink")


def test_add_generates_a_password_that_must_be_changed(root):
    new = accounts.add(actor(root), username="mei", email="mei@example.org")
    assert len(new.password) == 23
    assert (new.user.check_password(new.password), new.user.must_change_password) == (True, True)
    assert (new.user.is_site_admin, verbs()) == (False, ["user.created"])


def test_add_takes_a_given_password(root):
    new = accounts.add(actor(root), username="mei", email="mei@example.org", password=PASSWORD)
    assert (new.password, new.user.must_change_password) == ("", False)


@pytest.mark.parametrize(("name", "email"), [("ROOT", "new@example.org"), ("mei", "Root@Example.org")])
def test_add_refuses_what_is_taken(root, name, email):
    with pytest.raises(Conflict):
        accounts.add(actor(root), username=name, email=email)


def test_add_needs_a_site_administrator(root):
    owner = make_user("owner", role="admin", project=make_project(owner=root))
    with pytest.raises(Forbidden):
        accounts.add(actor(owner), username="mei", email="mei@example.org")


def test_reset_password(root):
    mei = make_user("mei")
    left_open = replace(actor(root), authenticated_at=timezone.now() - timedelta(hours=1))
    for change in (accounts.reset_password, accounts.confirm_email):  # either could make a second person of oneself
        with pytest.raises(Forbidden, match="Confirm that it is you"):
            change(left_open, user=mei)
    new = accounts.reset_password(actor(root), user=mei)
    mei.refresh_from_db()
    assert (mei.check_password(new.password), mei.must_change_password) == (True, True)


def test_deactivate_and_activate(root):
    mei = make_user("mei")
    accounts.deactivate(actor(root), user=mei)
    assert not User.objects.get(pk=mei.pk).is_active
    with pytest.raises(Conflict):
        accounts.deactivate(actor(root), user=mei)
    accounts.activate(actor(root), user=mei)
    assert User.objects.get(pk=mei.pk).is_active
    with pytest.raises(Conflict):
        accounts.activate(actor(root), user=mei)
    assert verbs() == ["user.deactivated", "user.activated"]


def test_the_last_site_administrator_stays(root):
    with pytest.raises(Conflict):
        accounts.deactivate(actor(root), user=root)
    other = make_user("other", is_site_admin=True)
    accounts.deactivate(actor(root), user=other)


def test_sign_out_is_an_event(root):
    signing_in.sign_out(actor(root))
    assert verbs() == ["user.signed_out"]


def test_generated_passwords_differ():
    assert len({accounts.generate_password() for _ in range(100)}) == 100
