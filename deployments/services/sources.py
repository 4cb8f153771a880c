"""Where a version registered by a client comes from.

A security boundary: what a source names is hashed, signed and later handed out as the version. So a source inside the
portal must lie in the very run or model that the client names, and one outside is a text that nobody here opens.
"""

import re
from dataclasses import dataclass, replace
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from deployments.models import ModelVersion, RegisteredModel
from deployments.proof.manifest import File
from deployments.services import aliases
from experiments.mlflow import wire
from experiments.models import Artifact, LoggedModel, Run
from experiments.services import locations
from mlportal.lib.errors import DomainError, Invalid, Missing
from projects.models import Project

MAX_SOURCE = 4000
MAX_UNQUOTES = 20
PROMPT_TAG = "mlflow.prompt.is_prompt"
# What clients write as the source of a prompt, which has no files.
PROMPT_SOURCES = {"dummy-source", "prompt-template"}
_PROXY_ROUTE = re.compile(r"/(ajax-)?api/2\.0/mlflow-artifacts(/|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """A checked source.

    Parameters
    ----------
    text
        As the version keeps it.
    location
        Where clients download the files.
    run, logged_model
        What holds the files, None when they are elsewhere.
    run_uuid
        Run id as the client named it; the run itself may be on another server.
    files
        The files in the portal, with paths below the source.
    copied
        The version this one copies, None when it copies none.
    """

    text: str
    location: str
    run: Run | None = None
    run_uuid: str = ""
    logged_model: LoggedModel | None = None
    files: tuple[File, ...] = ()
    copied: ModelVersion | None = None


@dataclass(frozen=True)
class Claim:
    """What the client sent: the source and the run and model that should hold it."""

    source: str
    run_id: str = ""
    model_id: str = ""
    is_prompt: bool = False


def resolve(project: Project, claim: Claim) -> Source:
    """Check a source and find what it names, inside one project.

    Raises
    ------
    Invalid
        When the source is not inside the named run or model, or could be read in more than one way.
    Missing
        When the named model is not in the project.
    """
    if not claim.source or len(claim.source) > MAX_SOURCE:
        raise Invalid(f"source must have 1 to {MAX_SOURCE} characters.", code="required", field="source")
    if claim.is_prompt:
        return _prompt(claim)
    _check_plain(claim)
    scheme = urlsplit(claim.source).scheme.lower()
    known = {"runs": _of_run, "models": _of_models, "mlflow-artifacts": _of_store, "file": _local, "": _local}
    reader = known.get(scheme, _local if len(scheme) == 1 else _elsewhere)
    return reader(project, claim)


def root_of(holder: Run | LoggedModel) -> str:
    """Return the address below which the files of a run or of a logged model lie, as clients know it."""
    middle = "models/" if isinstance(holder, LoggedModel) else ""
    return wire.below(wire.location(holder.experiment), f"{middle}{holder.uuid}/artifacts")


def _prompt(claim: Claim) -> Source:
    if claim.source not in PROMPT_SOURCES:
        raise Invalid(f"Invalid prompt source: '{claim.source[:200]}'. Prompts have no files.", field="source")
    return Source(claim.source, claim.source, run_uuid=claim.run_id)


def _check_plain(claim: Claim) -> None:
    """Refuse what another reader might read as another place: steps up, NUL, and any encoding of them."""
    text = _decoded(claim)
    parts = re.split(r"[/\\]", text)
    if "\0" in text or any(part.strip() in (".", "..") for part in parts) or not text.isprintable():
        raise Invalid(
            f"Invalid model version source: '{claim.source[:200]}'. It must be an absolute address without '.', '..' "
            "or control characters, encoded ones too.",
            field="source",
        )


def _decoded(claim: Claim) -> str:
    text = claim.source
    for _ in range(MAX_UNQUOTES):
        plain = unquote(text)
        if plain == text:
            return text
        text = plain
    raise Invalid("Invalid model version source: it is encoded too often.", field="source")


def _local(project: Project, claim: Claim) -> NoReturn:
    raise Invalid(
        f"Invalid model version source: '{claim.source[:200]}'. To use a local path as a model version source, it has "
        "to be contained within the artifact directory of the run; the portal keeps no files under paths.",
        field="source",
    )


def _elsewhere(project: Project, claim: Claim) -> Source:
    """Keep the address of a store that is not ours as text."""
    locations.check_host(claim.source, "source")
    if _PROXY_ROUTE.search(unquote(urlsplit(claim.source).path)):
        _refuse(claim, "run_id")
    logged = _logged_model(project, claim) if claim.model_id else None
    run = _run(project, claim.run_id) if claim.run_id else (logged.source_run if logged else None)
    uuid = claim.run_id or (run.uuid if run else "")
    return Source(claim.source, claim.source, run=run, run_uuid=uuid, logged_model=logged)


def _of_run(project: Project, claim: Claim) -> Source:
    """``runs:/<run id>/<path>`` with that very run id."""
    found = re.fullmatch(r"runs:/([^/]+)/(.+)", claim.source)
    if not found or urlsplit(claim.source).netloc or found[1] != claim.run_id or claim.model_id:
        _refuse(claim, "run_id" if not claim.model_id else "model_id")
    run = _run(project, claim.run_id)
    if run is None:
        _refuse(claim, "run_id")
    return Source(claim.source, claim.source, run=run, run_uuid=run.uuid, files=_files(run, found[2]))


def _of_store(project: Project, claim: Claim) -> Source:
    """``mlflow-artifacts:/...`` inside the artifacts of the named model or run."""
    if urlsplit(claim.source).netloc or re.search(r"[?#%\\]|mlflow-artifacts://", claim.source):
        _refuse(claim, "run_id")
    if claim.model_id:
        logged = _logged_model(project, claim)
        path = _below(claim, root_of(logged), "model_id")
        return replace(_holder(project, claim, logged), files=_files(logged, path))
    run = _run(project, claim.run_id) if claim.run_id else None
    if run is None:
        _refuse(claim, "run_id")
    path = _below(claim, root_of(run), "run_id")
    return Source(claim.source, claim.source, run=run, run_uuid=run.uuid, files=_files(run, path))


def _of_models(project: Project, claim: Claim) -> Source:
    """``models:/<model id>`` with that very id, or the address of another version, which is copied."""
    found = re.fullmatch(r"models:/([^/]+)(?:/([^/]+))?", claim.source)
    if not found or urlsplit(claim.source).netloc:
        _refuse(claim, "model_id")
    if found[2] is None and "@" not in found[1]:
        if found[1] != claim.model_id:
            _refuse(claim, "model_id")
        logged = _logged_model(project, claim)
        return replace(_holder(project, claim, logged), location=root_of(logged), files=_files(logged, ""))
    return _copy(claim, _version(project, claim, found[1], found[2]))


def _version(project: Project, claim: Claim, name: str, word: str | None) -> ModelVersion:
    if word is None:
        name, _, alias = name.rpartition("@")
    model = RegisteredModel.objects.in_project(project).filter(name=name).first()
    if model is None:
        raise Missing(f"Registered Model with name={name} not found", field="source")
    if model.tag_rows.filter(key=PROMPT_TAG, value__iexact="true").exists():
        raise Invalid(f"Invalid model version source: '{claim.source[:200]}'. Prompts have no files.", field="source")
    if word is None:
        return aliases.find(model, alias)
    rows = model.versions.with_origin().order_by("-number")
    if word.isdigit() and word.isascii():
        rows = rows.filter(number=min(int(word[:12]), 2**31 - 1))
    elif word.casefold() != aliases.LATEST:
        rows = rows.filter(stage__iexact=word)
    found = rows.first()
    if found is None:
        raise Missing(f"Model Version (name={name}, version={word}) not found", field="source")
    return found


def _copy(claim: Claim, version: ModelVersion) -> Source:
    logged = version.logged_model
    if claim.run_id not in ("", version.run_uuid) or claim.model_id not in ("", logged.uuid if logged else ""):
        raise Invalid(
            f"Invalid model version source: '{claim.source[:200]}'. The run_id and model_id request parameters must "
            "match the referenced model version.",
            field="source",
        )
    return Source(
        f"models:/{version.model.name}/{version.number}", version.location, run=version.run, run_uuid=version.run_uuid,
        logged_model=logged, copied=version,
        files=tuple(File(row["path"], row["sha256"], row["size_bytes"]) for row in version.manifest),
    )  # fmt: skip


def _holder(project: Project, claim: Claim, logged: LoggedModel) -> Source:
    run = _run(project, claim.run_id) if claim.run_id else logged.source_run
    return Source(
        claim.source, claim.source, run=run, run_uuid=claim.run_id or (run.uuid if run else ""), logged_model=logged
    )


def _run(project: Project, uuid: str) -> Run | None:
    return Run.objects.in_project(project).select_related("experiment", "project").filter(uuid=uuid).first()


def _logged_model(project: Project, claim: Claim) -> LoggedModel:
    rows = LoggedModel.objects.in_project(project).active().select_related("experiment", "source_run")
    found = rows.filter(uuid=claim.model_id).first()
    if found is None:
        raise Missing(f"Logged model with ID '{claim.model_id[:100]}' not found.", field="model_id")
    return found


def _below(claim: Claim, root: str, holder: str) -> str:
    """Return the path of the source below the root of its holder."""
    source, base = (re.sub(r"/+", "/", text).rstrip("/") for text in (claim.source, root))
    if source != base and not source.startswith(f"{base}/"):
        _refuse(claim, holder)
    return source[len(base) + 1 :]


def _files(holder: Run | LoggedModel, path: str) -> tuple[File, ...]:
    clean = path.strip("/")
    rows = (
        Artifact.objects.filter(run=holder) if isinstance(holder, Run) else Artifact.objects.filter(logged_model=holder)
    )
    cut = len(clean) + 1 if clean else 0
    if clean:
        rows = rows.filter(path__startswith=f"{clean}/")
    found = rows.order_by("path").values_list("path", "sha256", "size_bytes")
    # SQLite compares prefixes without regard to case.
    return tuple(File(p[cut:], digest, size) for p, digest, size in found if p[:cut] == (f"{clean}/" if clean else ""))


def _refuse(claim: Claim, holder: str) -> NoReturn:
    fault: DomainError = Invalid(
        f"Invalid model version source: '{claim.source[:200]}'. The {holder} request parameter must identify the "
        "resource that contains the source.",
        field="source",
    )
    raise fault
