"""``mlportal audit verify`` on a data directory."""

import pytest

from mlportal import cli
from projects.services import audit, tokens
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(db):
    churn = make_project()
    ana = make_user("ana", role="admin", project=churn)
    for number in range(3):
        tokens.create(actor(ana), project=churn, name=f"t{number}", scopes=["read"])


def test_verify_says_that_the_log_is_intact(log, capsys):
    assert cli.main(["audit", "verify"]) == audit.INTACT
    assert capsys.readouterr().out == "3 entries are intact.\n"


def test_verify_speaks_json(log, capsys):
    assert cli.main(["audit", "verify", "--from", "2", "--to", "3", "--json"]) == audit.INTACT
    assert '"checked": 2' in capsys.readouterr().out


def test_verify_compares_with_anchors(log, settings, tmp_path, capsys):
    settings.DATA_DIR = tmp_path
    audit.anchor()
    assert cli.main(["audit", "verify", "--anchors", str(audit.anchor_file())]) == audit.INTACT
    assert cli.main(["audit", "verify", "--anchors", str(tmp_path / "none")]) == audit.UNREADABLE
    assert capsys.readouterr().out.startswith("3 entries are intact.\nCannot read: ")


def test_verify_names_what_is_missing(log, capsys):
    assert cli.main(["audit", "verify", "--to", "9"]) == audit.TAIL_MISSING
    assert capsys.readouterr().out == "Entries 4 to 9 are missing at the end.\n"
