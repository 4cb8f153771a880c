"""One portal for all tests of the import; each test file makes projects of its own."""

import pytest

from tests.portal.running import running


@pytest.fixture(scope="session")
def import_portal(tmp_path_factory):
    with running(tmp_path_factory.mktemp("import") / "p") as portal:
        done = portal.command("admin", "user", "add", "root", "--email", "root@example.org", "--generate-password")
        assert done.returncode == 0, done.stderr
        yield portal
