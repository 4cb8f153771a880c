"""A live portal to import into, and what the tests of the import share."""

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tests.portal.running import ROOT, Portal

HERE = Path(__file__).parent


def with_mlflow() -> str:
    """Return the interpreter of the newest client; ``make clients`` makes it."""
    path = os.environ.get("MLFLOW3_PYTHON") or str(ROOT / ".venv-mlflow3" / "bin" / "python")
    assert Path(path).exists(), f"{path} is not there: run `make clients`"
    return path


@dataclass
class Target:
    """One project of a portal, as somebody who may log and register sees it."""

    portal: Portal
    project: str
    token: str

    @property
    def environment(self) -> dict[str, str]:
        return {"MLPORTAL_URL": self.portal.url, "MLPORTAL_TOKEN": self.token, "MLPORTAL_PROJECT": self.project}

    def imports(self, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return self.portal.command("import", *words, **self.environment, **extra)

    def begins(self, *words: str) -> subprocess.Popen[bytes]:
        """Start an import in a process group of its own, to be killed with all its children."""
        return subprocess.Popen(
            [sys.executable, "-m", "mlportal.cli", "import", *words],
            env=self.portal.environment | self.environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def agrees(self, *words: str) -> dict:
        """Import; both sides must agree."""
        done = self.imports(*words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def ask(self, path: str, body: dict | None = None, /, **query: object) -> dict:
        """Call the portal's MLflow door."""
        request = urllib.request.Request(
            f"{self.portal.url}/p/{self.project}/api/2.0/mlflow/{path}?{urlencode(query)}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def runs(self, experiment: str) -> list[dict]:
        """Return an experiment's runs."""
        found = self.ask("experiments/get-by-name", experiment_name=experiment)["experiment"]["experiment_id"]
        body = {"experiment_ids": [found], "max_results": 1000, "run_view_type": "ALL"}
        return self.ask("runs/search", body).get("runs", [])

    def files(self, run: dict, path: str = "") -> dict[str, int]:
        """Return the sizes of all files of a run."""
        found: dict[str, int] = {}
        for entry in self.ask("artifacts/list", run_id=run["info"]["run_id"], path=path).get("files", []):
            found |= self.files(run, entry["path"]) if entry["is_dir"] else {entry["path"]: int(entry["file_size"])}
        return found

    def history(self, run: dict, key: str) -> list[tuple[int, int, object]]:
        """Return all points of a metric."""
        found = self.ask("metrics/get-history", run_id=run["info"]["run_id"], metric_key=key)["metrics"]
        return [(int(one["timestamp"]), int(one["step"]), one["value"]) for one in found]

    def dump(self) -> dict:
        """Return all that a real client sees here."""
        signed = {"MLFLOW_TRACKING_TOKEN": self.token}
        return dump(f"{self.portal.url}/p/{self.project}", **signed)


def target(portal: Portal, project: str) -> Target:
    """Make a project with a token."""
    token = f"token add --user root --project {project} --scopes 'read write register' --print"
    _, printed = portal.admin(f"project add {project} --owner root", token)
    return Target(portal, project, printed.strip())


def script(name: str, *words: str, cwd: Path | None = None, **extra: str) -> str:
    """Run one of the scripts beside this file where mlflow is; a database's files land in the working folder."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [with_mlflow(), str(HERE / name), *words],
        env=kept | extra,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def dump(uri: str, **extra: str) -> dict:
    """Return all that a client sees in a store."""
    return json.loads(script("dump_mlflow.py", uri, **extra))


def as_pairs(listed: list[dict]) -> dict:
    """Read MLflow's lists of keys and values."""
    return {one["key"]: one["value"] for one in listed}
