"""The commit of a checkout is read as git tells it."""

import shutil
import subprocess

import pytest

from mlportal.lib import code_version

GIT = shutil.which("git")


def git(folder, *words):
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run([GIT, "-C", folder, *identity, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "main"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "First")
    return folder


def test_a_branch_a_packed_branch_and_a_bare_commit(checkout):
    known = git(checkout, "rev-parse", "HEAD").strip()
    assert code_version.commit_of(checkout) == known
    git(checkout, "pack-refs", "--all")
    assert code_version.commit_of(checkout) == known
    git(checkout, "checkout", "-q", "--detach")
    assert code_version.commit_of(checkout) == known


def test_a_linked_work_tree(checkout, tmp_path):
    git(checkout, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    git(tmp_path / "side", "commit", "-q", "--allow-empty", "-m", "Second")
    known = git(tmp_path / "side", "rev-parse", "HEAD").strip()
    assert code_version.commit_of(tmp_path / "side") == known != code_version.commit_of(checkout)


def test_no_checkout_has_no_commit(tmp_path):
    assert code_version.commit_of(tmp_path) == ""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/none\n")
    assert code_version.commit_of(tmp_path) == ""
    assert code_version.version().startswith("mlportal 0.")
