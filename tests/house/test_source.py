"""Rules about the text of the source itself."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True, text=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


# Not pages: mail, and the file that is opened from a disk, whose own policy lets nothing be loaded.
ELSEWHERE = ("templates/emails/", "templates/experiments/standalone.html")


def templates() -> list[Path]:
    every = tracked("templates/*.html", "templates/**/*.html")
    return [path for path in every if not str(path.relative_to(ROOT)).startswith(ELSEWHERE)]


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", "an inline script"),
        (r"<style\b", "an inline style sheet"),
        (r"\sstyle\s*=", "a style attribute"),
        (r"\son[a-z]+\s*=\s*[\"']", "an inline event handler"),
        (r"javascript:", "a javascript: address"),
        (r"\|\s*safe\b|{%\s*autoescape\s+off", "unescaped output"),
        (r"(?:src|href)\s*=\s*[\"']https?://", "a file from another host"),
    ],
)
def test_no_template_holds(pattern, what):
    found = [
        f"{path.relative_to(ROOT)}: {match.group()[:60]}"
        for path in templates()
        for match in re.finditer(pattern, path.read_text(), re.IGNORECASE)
    ]
    assert found == [], f"templates with {what}"


def test_rows_are_locked_without_their_keys():
    """FOR UPDATE waits for whoever refers to the row, who may wait for the audit log: docs/explanation/locks.md."""
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for app in ("projects", "experiments", "monitoring", "deployments", "mlportal")
        for path in sorted((ROOT / app).rglob("*.py"))
        for line in path.read_text().splitlines()
        if "select_for_update(" in line and "no_key=" not in line
    ]
    assert found == []


def test_no_weak_hash_and_no_pickle_in_the_product():
    pattern = re.compile(r"\b(md5|sha1|import pickle|pickle\.loads?|joblib\.load|cloudpickle|yaml\.load\()")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for app in ("mlportal", "projects", "experiments", "monitoring", "deployments")
        for path in tracked(f"{app}/*.py", f"{app}/**/*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_the_web_process_loads_no_learning_library():
    """What granian imports: the URL table and the ASGI entry, and nothing heavy behind them."""
    code = (
        "import django, os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'mlportal.settings'; django.setup();"
        "from django.urls import get_resolver; get_resolver().url_patterns;"
        "import mlportal.wsgi;"
        "heavy = {'sklearn', 'pandas', 'scipy', 'shap', 'skops', 'duckdb'} & set(sys.modules); print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stderr[-2000:]


def test_no_part_loads_opentelemetry_while_no_endpoint_is_named():
    code = (
        "import django, os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'mlportal.settings'; django.setup();"
        "import mlportal.wsgi, mlportal.celery, deployments.serve.process;"
        # where it is installed, redis loads its part for metrics
        "ours = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'deployments.serve.traced');"
        "print(sorted(name for name in sys.modules if name.startswith(ours)))"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=kept, capture_output=True, text=True, check=False)
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stderr[-2000:]


def test_the_suite_has_all_that_the_portal_runs_with():
    runtime, traced, dev = (
        set(re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements" / name).read_text(), re.MULTILINE))
        for name in ("runtime.txt", "otel.txt", "dev.txt")
    )
    assert (runtime | traced) - dev == set(), "lock the lists anew: make lock"
