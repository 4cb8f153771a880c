"""Papers as files: JSON, HTML in one file, PDF."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString

from deployments.proof import papers
from deployments.proof.papers import Json
from deployments.services import writings
from mlportal.lib.errors import Invalid, Unavailable

FORMATS: Mapping[str, str] = {"html": "text/html", "json": "application/json", "pdf": "application/pdf"}
SECONDS = 180
KEPT_VARIABLES = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH")
STYLE = "static/css/pages/paper.css"


def readable(paper: Json, **about: Any) -> Json:
    """Return a paper as it leaves the portal: names of people, when it was made, and lines for its head.

    Parameters
    ----------
    about
        More facts for ``about``.
    """
    filled, asked = papers.completeness(paper)
    facts = {**paper["about"], "made_at": timezone.now().isoformat(), **about}
    front = [
        ["Project", facts["project"]], ["Model", f"{facts['model']} v{facts['version']}"],
        *([["Card", facts["card"]]] if "card" in facts else []),
        *([["Issue", facts["issue"]]] if "issue" in facts else []),
        ["Made at", facts["made_at"][:19].replace("T", " ") + " UTC"], ["Filled", f"{filled} of {asked} fields"],
        ["sha256 of the records", papers.digest(paper)],
    ]  # fmt: skip
    named: Json = writings.named(paper)
    return {**named, "about": facts, "front": front}


def write(paper: Json, form: str) -> bytes:
    """Return a readable paper as a file that needs no drawing: ``html`` or ``json``.

    Raises
    ------
    Invalid
        When there is no such form.
    """
    if form not in FORMATS:
        raise Invalid(
            f"format must be one of {', '.join(FORMATS)}.", field="format", got=form[:20], limit=list(FORMATS)
        )
    return {"html": html, "json": plain}[form](paper)


def plain(paper: Json) -> bytes:
    """Return a paper as JSON text."""
    return json.dumps(paper, indent=2, ensure_ascii=False).encode()


def html(paper: Json) -> bytes:
    """Return a paper as one HTML file that loads nothing."""
    style = SafeString(f"<style>{(settings.BASE_DIR / STYLE).read_text()}</style>")
    return render_to_string("deployments/paper_file.html", {"paper": paper, "style": style}).encode()


def pdf(paper: Json) -> bytes:
    """Return a paper as PDF, drawn by a child process.

    Raises
    ------
    Unavailable
        When the child failed or took too long.
    """
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "deployments.proof.printing"], input=json.dumps(paper).encode(),
            capture_output=True, cwd=settings.BASE_DIR, env=environment, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"The PDF was not ready after {SECONDS} s.", code="pdf_failed") from error
    if done.returncode or not done.stdout.startswith(b"%PDF"):
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise Unavailable(f"The PDF could not be drawn: {last[0][:200]}", code="pdf_failed")
    return done.stdout
