"""Unattended installation: the admin commands on a fresh data folder, without a running portal."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.portal.running import Portal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A data folder on which user, project, member and token were added by command."""
    portal = Portal(tmp_path_factory.mktemp("admin") / "p")
    portal.folder.mkdir(exist_ok=True)
    portal.said = {}
    words = "admin user add ana --email ana@example.org --site-admin --generate-password --json"
    first = portal.command(*words.split())
    assert (first.returncode, first.stderr) == (0, "")
    portal.said["user"] = first.stdout
    lines = {
        "second": "admin user add ben --email ben@example.org --generate-password",
        "project": "admin project add Churn --owner ana --json",
        "member": "admin member add ben --project churn --role viewer",
        "token": "admin token add --user ana --project churn --scopes read,write --print",
    }
    for name, (code, said, told) in zip(lines, portal.commands(*lines.values()), strict=True):
        assert (code, told) == (0, ""), name
        portal.said[name] = said
    return portal


def test_generated_password_is_printed_once_and_long(place):
    user = json.loads(place.said["user"])
    assert len(user.pop("password")) >= 20
    assert user == {"user": "ana", "email": "ana@example.org", "site_admin": True}
    assert place.said["second"].startswith("user: ben\nemail: ben@example.org\nsite_admin: False\npassword: ")


def test_project_gets_an_address(place):
    assert json.loads(place.said["project"]) == {"project": "churn", "name": "Churn", "owner": "ana"}
    assert place.said["member"] == "ben is viewer in churn\n"


def test_token_is_the_only_line(place):
    assert place.said["token"].startswith("mlp_")
    assert place.said["token"].count("\n") == 1


def test_password_from_standard_input(place):

    command = [sys.executable, "-m", "mlportal.cli", "admin", "user", "add", "cy", "--email", "cy@example.org"]
    done = subprocess.run(
        [*command, "--password-stdin", "--json"],
        input="a long enough passphrase\n",
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout)) == (
        0,
        {"user": "cy", "email": "cy@example.org", "site_admin": False},
    )


REFUSED = [
    ("user add ana --email other@example.org --generate-password", 6, "The name 'ana' is taken."),
    ("user add dan --email nonsense --generate-password", 6, "email must look like name@example.org."),
    ("project add Fraud --owner nobody", 5, "there is no user 'nobody'"),
    ("project add Churn --owner ana", 6, "The address 'churn' is taken."),
    ("member add ben --project churn --role king", 6, "role is one of"),
    ("user reset-second-factor ben --reason lost", 6, "ben has no second factor."),
    ("user reset-second-factor nobody --reason lost", 5, "there is no user 'nobody'"),
    ("token add --user ana --project fraud --scopes read --print", 5, "there is no project 'fraud'"),
    ("token add --user ana --project churn --scopes fly --print", 6, "Unknown scope 'fly'."),
    ("token add --user ana --project churn --scopes read", 2, "--print"),
    ("user add eve --email e@example.org", 2, "one of the arguments --generate-password --password-stdin"),
]


@pytest.fixture(scope="module")
def refused(place):
    """How each of them ended: all but the first in one process."""
    first, *others = (words for words, _, _ in REFUSED)
    done = place.command("admin", *first.split())
    ends = place.commands(*(f"admin {words}" for words in others))
    return {first: (done.returncode, done.stdout, done.stderr), **dict(zip(others, ends, strict=True))}


@pytest.mark.parametrize(("words", "code", "said"), REFUSED)
def test_refusal_says_why_with_a_code(refused, words, code, said):
    found, printed, told = refused[words]
    assert found == code
    assert said in told
    assert printed == ""


def test_audit_log_names_the_command_line(place):
    script = (
        "import django; django.setup()\n"
        "from projects.models import Event\n"
        "print([(e.verb, e.actor_kind, e.actor_name) for e in Event.objects.order_by('seq')][:1])"
    )

    environment = place.environment | {"DJANGO_SETTINGS_MODULE": "mlportal.settings"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[('user.created', 'system', 'command line')]\n"


def test_two_commands_at_once_on_a_new_folder_both_work(tmp_path):
    """The schema is made once, whoever comes first."""
    portal = Portal(tmp_path, empty=True)
    with ThreadPoolExecutor(2) as both:
        words = [("admin", "user", "add", name, "--email", f"{name}@a.org", "--generate-password") for name in "ab"]
        done = list(both.map(lambda given: portal.command(*given), words))
    assert [(one.returncode, one.stderr) for one in done] == [(0, ""), (0, "")]


def test_files_are_collected_with_their_sizes(place):
    dry, wet = place.admin("files collect --dry-run", "files collect --json")
    assert dry == "named by nothing: 0 files, 0 B\nso for a day: 0 files, 0 B\nremoved: 0 files, 0 B\n"
    assert json.loads(wet)["removed"] == {"files": 0, "size_bytes": 0}
