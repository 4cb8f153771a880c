"""What a Prometheus server sees, and who may look."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from deployments.serve.metrics import Metrics

GRAFANA = Path(__file__).parents[2] / "deploy/grafana"

pytestmark = pytest.mark.django_db


def test_requests_are_counted_by_route_not_by_address(client):
    client.get("/livez")
    client.get("/no/such/page-77")
    text = client.get("/metrics").content.decode()
    assert 'mlportal_http_requests_total{method="GET",route="livez",status="200"}' in text
    assert "page-77" not in text


def test_unknown_method_does_not_make_a_series(client):
    client.generic("BREW", "/livez")
    text = client.get("/metrics").content.decode()
    assert 'method="other",route="livez"' in text
    assert "BREW" not in text


def test_tables_are_counted(client):
    lines = client.get("/metrics").content.decode().splitlines()
    assert [line for line in lines if line.startswith(("mlportal_training", "mlportal_open", "mlportal_undel"))] == [
        'mlportal_training_jobs{state="queued"} 0.0',
        'mlportal_training_jobs{state="starting"} 0.0',
        'mlportal_training_jobs{state="running"} 0.0',
        "mlportal_open_alerts 0.0",
        "mlportal_open_incidents 0.0",
        "mlportal_undelivered_events 0.0",
    ]


def test_other_machines_are_refused_without_a_token(client):
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.7").status_code == 403


def test_behind_a_proxy_the_address_proves_nothing(client, settings):
    settings.TRUSTED_PROXIES = 1
    assert client.get("/metrics").status_code == 403


def test_token_opens_and_only_the_right_one(client, settings):
    settings.METRICS_TOKEN = "a-token-for-the-scraper"
    get = lambda value: client.get("/metrics", headers={"Authorization": value}).status_code  # noqa: E731
    assert get("Bearer a-token-for-the-scraper") == 200
    assert get("Bearer a-token-for-the-scrapes") == 403
    assert client.get("/metrics").status_code == 403


def test_the_dashboard_asks_for_series_that_there_are(client):
    text = client.get("/metrics").content.decode() + generate_latest(Metrics().registry).decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)", text, re.MULTILINE))
    told = {f"{name}_bucket" if kind == "histogram" else name for name, kind in kinds.items()}
    board = json.loads((GRAFANA / "dashboards/mlportal.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    wanted = {name for expression in asked for name in re.findall(r"mlportal_\w+", expression)}
    assert len(wanted) >= len(asked) - 3
    assert wanted - told == set()
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"prometheus"}
    assert "uid: prometheus" in (GRAFANA / "provisioning/datasources/prometheus.yaml").read_text()
