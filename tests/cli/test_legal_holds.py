"""``mlportal legal-hold`` against a socket that answers as the portal does."""

from mlportal.cli import main
from tests.cli.test_papers import signed_in  # noqa: F401 a fixture
from tests.cli.test_rest import serve  # noqa: F401 a fixture

API = "/api/v1/projects/churn/legal-holds/"
HOLD = {"id": 4, "dataset": "customers", "reason": "A letter of the court.", "lifted_at": None}


def test_a_hold_is_placed_listed_and_lifted(signed_in, capsys):  # noqa: F811
    lifted = HOLD | {"lifted_at": "2026-11-23T08:00:00Z"}
    listed = {"results": [HOLD, HOLD | {"id": 3, "dataset": None}], "next": None}
    server = signed_in((201, HOLD), (200, listed), (200, lifted))
    assert main(["legal-hold", "place", "--dataset", "customers", "--reason", "A letter of the court."]) == 0
    assert main(["legal-hold", "list"]) == 0
    assert main(["legal-hold", "lift", "4", "--reason", "The case is closed."]) == 0
    said = capsys.readouterr().out
    assert "hold 4 on dataset customers stands\n" in said
    assert "the whole project" in said
    assert said.endswith("hold 4 on dataset customers is lifted\n")
    assert [(row[0], row[1]) for row in server.asked] == [("POST", API), ("GET", API), ("POST", f"{API}4/lift/")]


def test_which_stood_then(signed_in, capsys):  # noqa: F811
    row = {"what": "project churn", "since": "2026-03-01T08:00:00Z", "until": None, "reason": "A letter."}
    server = signed_in((200, {"as_of": {}, "legal_holds": [row]}))
    assert main(["legal-hold", "list", "--as-of", "2026-03-12"]) == 0
    assert "project churn" in capsys.readouterr().out
    assert server.asked[0][1] == f"{API}?as_of=2026-03-12"
