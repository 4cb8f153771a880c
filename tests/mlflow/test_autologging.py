"""A real fit by each framework with nothing but autologging, and then its page as a person sees it."""

import re
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest

from tests.mlflow.harness import play

pytestmark = pytest.mark.slow
FLAVORS = {"sklearn": "best_C", "lightgbm": "num_leaves", "xgboost": "max_depth", "pytorch": "optimizer_name"}


class Person:
    """Somebody with a browser: cookies, and the hidden field of forms."""

    def __init__(self, door):
        self.address = door.portal.url
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()))
        page = self.get("/sign-in/")[1]
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
        form = {"csrfmiddlewaretoken": token, "username": "ann", "password": door.password}
        request = Request(self.address + "/sign-in/", urlencode(form).encode(), {"Referer": self.address + "/sign-in/"})
        with self.opener.open(request, timeout=60) as answer:
            assert "/sign-in/" not in answer.url

    def get(self, path):
        with self.opener.open(self.address + path, timeout=60) as answer:
            return answer.url, answer.read().decode()


@pytest.fixture(scope="module")
def played(door, tmp_path_factory):
    """Outcomes of the fits, and the last run of each framework."""
    folder = tmp_path_factory.mktemp("fits")
    noted = folder / "runs"
    outcomes = play(door, "mlflow3", "bearer", folder, "-m", "autologging", CASES_RUNS=str(noted))
    return outcomes["case_autolog"], dict(line.split() for line in noted.read_text().splitlines())


def test_fits(played, subtests):
    outcomes, _ = played
    for outcome in outcomes:
        with subtests.test(msg=outcome.name):
            assert not outcome.trouble, outcome.trouble


def test_pages(door, played, subtests):
    """The page of each run is there for a person, and shows what the framework logged."""
    person = Person(door)
    for flavor, parameter in FLAVORS.items():
        with subtests.test(msg=flavor):
            where, page = person.get(f"/from-client/{played[1][flavor]}/")
            assert re.search(r"/p/churn/runs/\d+/$", where), where
            assert parameter in page
            assert "mlp_" not in page
