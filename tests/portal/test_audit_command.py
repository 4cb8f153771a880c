"""``mlportal audit verify`` on a data directory."""

import pytest

from mlportal import cli
from projects.services import anchors, tokens, verification
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def second_place(settings, tmp_path):
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors.jsonl")


@pytest.fixture
def log(db):
    churn = make_project()
    ana = make_user("ana", role="admin", project=churn)
    for number in range(3):
        tokens.create(actor(ana), project=churn, name=f"t{number}", scopes=["read"])


def test_verify_says_that_the_log_is_intact(log, capsys):
    assert cli.main(["audit", "verify"]) == verification.INTACT
    assert capsys.readouterr().out == "3 entries are intact.\n"


def test_verify_speaks_json(log, capsys):
    assert cli.main(["audit", "verify", "--from", "2", "--to", "3", "--json"]) == verification.INTACT
    assert '"checked": 2' in capsys.readouterr().out


def test_verify_compares_with_anchors(log, tmp_path, capsys):
    anchors.drop(cause="hour")
    assert cli.main(["audit", "verify", "--anchors", str(anchors.file())]) == verification.INTACT
    assert cli.main(["audit", "verify", "--anchors", str(tmp_path / "none")]) == verification.UNREADABLE
    assert capsys.readouterr().out.startswith("3 entries are intact and match 1 anchor.\nCannot read: ")


def test_verify_names_what_is_missing(log, capsys):
    assert cli.main(["audit", "verify", "--to", "9"]) == verification.TAIL_MISSING
    assert capsys.readouterr().out == "Entries 4 to 9 are missing at the end.\n"


def test_the_log_is_exported_and_the_export_checked(log, tmp_path, capsys):
    place = tmp_path / "log.zip"
    assert cli.main(["audit", "export", str(place), "--since", "2020-01-01"]) == 0
    assert cli.main(["audit", "verify", "--export", str(place)]) == verification.INTACT
    assert "the key in the export; compare it with the portal's" in capsys.readouterr().out
    assert cli.main(["audit", "export", str(place)]) != 0  # never overwrites
    assert cli.main(["audit", "export", str(tmp_path / "b.zip"), "--since", "soon"]) != 0
    assert cli.main(["audit", "export", str(tmp_path / "b.zip"), "--project", "none"]) != 0


def test_the_log_is_anchored_on_demand(log, capsys):
    assert cli.main(["audit", "anchor"]) == 0
    assert capsys.readouterr().out == "Anchor 1 at entry 3.\n"
    assert cli.main(["audit", "verify"]) == verification.INTACT
    assert capsys.readouterr().out == "4 entries are intact and match 1 anchor.\n"
