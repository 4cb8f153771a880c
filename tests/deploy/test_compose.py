"""The production files as text: Docker is not needed to see that they hold together."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
PARTS = {"web", "worker-jobs", "worker-default", "beat", "serve"}


def test_services_are_the_production_topology():
    assert set(SERVICES) == PARTS | {"postgres", "redis", "migrate", "proxy"}


@pytest.mark.parametrize("name", sorted(PARTS | {"postgres", "redis"}))
def test_service_has_a_health_check(name):
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", sorted(PARTS))
def test_part_waits_for_schema_and_runs_confined(name):
    service = SERVICES[name]
    assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", sorted(PARTS | {"migrate"}))
def test_command_is_one_that_exists(name):
    from mlportal.cli import parser

    given = parser().parse_args(SERVICES[name]["command"][1:])
    assert callable(given.run)


def test_secrets_come_from_the_environment_and_have_no_default():
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "SECRET_KEY", "SIGNING_KEY", "FIELD_KEY"):
        for use in re.findall(r"\$\{(?:MLPORTAL_)?" + name + r"([^}]*)\}", text):
            assert use.startswith(":?"), name


def test_example_environment_names_every_variable_without_a_value_for_secrets():
    text = (ROOT / "docker-compose.yml").read_text()
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", text)) - {"MLPORTAL_VERSION"}
    lines = (ROOT / "deploy" / "env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(given) == used
    secret = {name for name in given if re.search(r"PASSWORD|_KEY$|TOKEN|ACCESS_KEY", name)}
    assert {given[name] for name in secret} == {""}


def test_image_runs_as_its_own_user_with_hash_checked_packages():
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER mlportal$", text, re.MULTILINE)
    assert "--require-hashes" in text
    assert text.index("USER mlportal") > text.index("mlportal.cli collect")


def test_image_leaves_out_data_and_secrets():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".env", "data", ".git"} <= set(ignored)
