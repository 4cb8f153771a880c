"""``mlportal access`` and ``service-account`` against a socket that answers as the portal does."""

from mlportal.cli import main
from mlportal.cli.errors import FAILED
from tests.cli.test_papers import signed_in  # noqa: F401 a fixture
from tests.cli.test_rest import serve  # noqa: F401 a fixture

ANSWER = {
    "person": "mei", "token": None, "permission": "run.log", "on": "", "may": False, "code": "forbidden",
    "refusal": "Your role does not allow run.log.", "reasons": [{"effect": "plain", "words": "Viewer directly"}],
    "first": [], "remedies": ["The role Data scientist"], "granters": ["ada"],
}  # fmt: skip
ACCOUNT = {"username": "churn.ci", "is_active": True, "owner": "mei", "owner_left": True, "live_tokens": 2}
API = "/api/v1/projects/churn"


def test_why_prints_the_chain_and_fails_for_no(signed_in, capsys):  # noqa: F811
    server = signed_in((200, ANSWER), (200, ANSWER | {"may": True, "refusal": "", "remedies": []}))
    assert main(["access", "why", "run.log", "--person", "mei", "--on", "folder:3"]) == FAILED
    said = capsys.readouterr().out
    assert said.startswith("mei: no, run.log\nYour role does not allow run.log.\n")
    assert "would change it: The role Data scientist" in said
    assert main(["access", "why", "run.log"]) == 0
    assert server.asked[0][:2] == ("GET", f"{API}/access/why/?permission=run.log&on=folder%3A3&person=mei")


def test_who_reads_every_page(signed_in, capsys):  # noqa: F811
    row = {"person": "ada", "service": False, "may": True, "excluded": "", "sources": ["Project admin directly"]}
    no = row | {"person": "bo", "may": False, "excluded": "asked for this promotion"}
    server = signed_in((200, {"results": [row], "after": "ada"}), (200, {"results": [no], "after": ""}))
    assert main(["access", "who", "run.log", "--as-of", "2026-03-12"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in said] == [["person", "may"], ["ada", "yes"], ["bo", "asked"]]
    assert server.asked[1][1].endswith("permission=run.log&as_of=2026-03-12&after=ada")


def test_an_account_is_made_given_a_token_and_closed(signed_in, capsys):  # noqa: F811
    listed = {"results": [ACCOUNT], "next": None}
    closed = ACCOUNT | {"is_active": False}
    server = signed_in((201, ACCOUNT), (201, {"secret": "mlp_x"}), (200, listed), (200, closed), (200, ACCOUNT))
    base = ["service-account"]
    assert main([*base, "new", "ci", "--owner", "mei", "--role", "ops"]) == 0
    capsys.readouterr()
    assert main([*base, "token", "churn.ci", "--name", "build", "--scopes", "read, write"]) == 0
    assert capsys.readouterr().out == "mlp_x\n"
    assert main([*base, "list"]) == 0
    assert "mei (has left)" in capsys.readouterr().out
    assert main([*base, "disable", "churn.ci"]) == 0
    assert main([*base, "owner", "churn.ci", "ada"]) == 0
    assert [(row[0], row[1]) for row in server.asked] == [
        ("POST", f"{API}/service-accounts/"), ("POST", f"{API}/service-accounts/churn.ci/tokens/"),
        ("GET", f"{API}/service-accounts/"), ("PATCH", f"{API}/service-accounts/churn.ci/"),
        ("PATCH", f"{API}/service-accounts/churn.ci/"),
    ]  # fmt: skip
