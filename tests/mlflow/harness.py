"""Where the clients' interpreters are, who signs in at the portal, and how the cases are run and reported."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.portal.running import ROOT, Portal

sys.path.insert(0, str(ROOT / "scripts"))
import services

T = TypeVar("T")
CASES = Path(__file__).parent / "cases"


def interpreter(kind: str) -> str:
    """Return the interpreter of ``mlflow2`` or ``mlflow3``; ``make clients`` makes them."""
    path = os.environ.get(f"{kind.upper()}_PYTHON") or str(ROOT / f".venv-{kind}" / "bin" / "python")
    assert Path(path).exists(), f"{path} is not there: run `make clients`"
    return path


def modules(*, without: tuple[str, ...] = ()) -> list[str]:
    """Return the names of the case files but of those that a test plays elsewhere, or that a client cannot."""
    found = sorted(path.stem for path in CASES.glob("case_*.py"))
    return [name for name in found if name not in ("case_autolog", *without)]


class Web(Portal):
    """A portal of web server and broker alone: no client needs a worker, and it starts in a third of the time."""

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "output").open("ab") as output:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "mlportal.cli", "web", "--workers", "2"],
                env=self.environment,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_ready(self) -> bool:
        assert self.child is not None
        assert self.child.poll() is None, self.output
        return self.get("/health")[0] == 200


class Door:
    """Projects on a portal, people with passwords, and tokens by what they are for."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        done = subprocess.run(
            [sys.executable, "-m", "tests.mlflow.people"],
            env=portal.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        self.password: str = made["password"]
        self.tokens: dict[str, str] = made["tokens"]


@contextmanager
def serving(folder: Path, fill: Callable[[Portal], T]) -> Iterator[T]:
    """Fill a portal, start its web server and yield what was filled in; stop it at the end."""
    folder.mkdir(exist_ok=True)
    with services.valkey(folder / "v") as broker:
        web = Web(folder, extra=broker)
        (folder / "data").mkdir(exist_ok=True)  # there already on SQLite, with a database that has its tables
        filled = fill(web)
        web.start()
        try:
            web.wait_ready()
            yield filled
        finally:
            web.stop()


@dataclass(frozen=True)
class Outcome:
    """How one case went."""

    module: str
    name: str
    seconds: float
    trouble: str


def environment(door: Door, style: str) -> dict[str, str]:
    """Return the client's environment for a way to sign in: ``bearer``, ``basic`` (a token) or ``password``."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR", "OMP_NUM_THREADS")}
    signed = {
        "bearer": {"MLFLOW_TRACKING_TOKEN": door.tokens["churn"]},
        "password": {
            "MLFLOW_TRACKING_USERNAME": "ann",
            "MLFLOW_TRACKING_PASSWORD": door.password,
        },
        "basic": {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": door.tokens["churn"]},
    }[style]
    return kept | {
        "MLFLOW_TRACKING_URI": door.portal.url,
        "SERVER": "portal",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # a 5xx shows at once
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        "PYTHONWARNINGS": "ignore",
        "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "1",  # a second interpreter for each model would take most of the time
        "CASES_PASSWORD": door.password,
        **{f"CASES_TOKEN_{name.upper()}": token for name, token in door.tokens.items()},
        **signed,
    }


def play(door: Door, kind: str, style: str, folder: Path, *arguments: str, **extra: str) -> dict[str, list[Outcome]]:
    """Run the cases by a client's interpreter and return the outcomes by case file."""
    report = folder / "report.xml"
    command = [interpreter(kind), "-m", "pytest", "-q", "--tb=short", "-o", "junit_family=xunit1"]
    done = subprocess.run(
        [*command, f"--junitxml={report}", *arguments],
        cwd=CASES,
        env=environment(door, style) | extra,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode in (0, 1), f"{done.stdout[-5000:]}{done.stderr[-5000:]}"
    found = defaultdict(list)
    for case in ET.parse(report).iter("testcase"):
        trouble = "".join(
            f"{part.get('message', '')}\n{part.text}" for part in case if part.tag in ("failure", "error")
        )
        module = case.get("classname", "").split(".")[-1]
        found[module].append(Outcome(module, case.get("name", ""), float(case.get("time", 0)), trouble))
    assert found, done.stdout
    return dict(found)
