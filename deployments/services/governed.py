"""Names that only a promotion moves, and what to tell somebody who tries otherwise."""

from django.conf import settings
from django.db.models import Q, QuerySet
from django.urls import reverse

from deployments.models import (
    Endpoint,
    EndpointRevision,
    Environment,
    ModelVersion,
    Policy,
    PromotionRequest,
    RegisteredModel,
    RetrainTrigger,
    TechnicalFile,
)
from deployments.services import policies
from mlportal.lib.errors import Forbidden
from projects.models import Project


def environment_named(project: Project, name: str) -> Environment | None:
    """Return the environment of that name in any case, None when the project has none."""
    return Environment.objects.filter(project=project, name__iexact=name).first()


def live_version(model: RegisteredModel, name: str) -> ModelVersion | None:
    """Return the version of a model that promotions put into the environment of that name."""
    rows = Endpoint.objects.filter(model=model, environment__name__iexact=name)
    found = rows.select_related("current_revision__version__model__project").first()
    return found.current_revision.version if found and found.current_revision else None


def refuse_alias(model: RegisteredModel, name: str, version: ModelVersion | None = None) -> None:
    """Refuse a name that is an environment's.

    Raises
    ------
    Forbidden
        Saying where to ask for a promotion.
    """
    if _is_governed(model.project, name):
        raise Forbidden(
            f"{name} is an environment; only an approved promotion moves it. {_ask(model, version)}",
            code="governed_pointer", field="alias", got=name,
        )  # fmt: skip


def _is_governed(project: Project, name: str) -> bool:
    """Whether a name is that of an environment, archived ones included, or will be with the first use."""
    if environment_named(project, name) is not None:
        return True
    is_default = name.casefold() in policies.DEFAULT_ENVIRONMENTS
    return is_default and not Environment.objects.filter(project=project).exists()


def refuse_stage(version: ModelVersion, stage: str) -> None:
    """Refuse a stage that is the name of an environment in use.

    Raises
    ------
    Forbidden
        Naming the request that waits for a decision, or where to make one.
    """
    place = environment_named(version.model.project, stage)
    if place is None or not in_use(place):
        return
    waiting = PromotionRequest.objects.pending().filter(version=version, environment=place).first()
    if waiting is not None:
        where = _link("deployments:promotion-detail", version.model.project.slug, waiting.pk)
        hint = f"Promotion {waiting.pk} of {version} to {place.name} waits for a decision: {where}"
    else:
        hint = _ask(version.model, version)
    raise Forbidden(
        f"{place.name} is in use; only an approved promotion moves a version there. {hint}",
        code="governed_pointer", field="stage", got=stage,
    )  # fmt: skip


def in_use(environment: Environment) -> bool:
    """Whether people rely on an environment: an endpoint, a request, or rules that somebody changed."""
    return (
        Endpoint.objects.filter(environment=environment).exists()
        or PromotionRequest.objects.filter(environment=environment).exists()
        or Policy.objects.filter(environment=environment, proposed_by__isnull=False).exists()
    )


def used(project: Project) -> set[int]:
    """Return the environments of a project that promotions or endpoints refer to; they keep their names."""
    asked = PromotionRequest.objects.filter(project=project).order_by().values_list("environment", flat=True)
    return set(asked.distinct()) | set(Endpoint.objects.filter(project=project).values_list("environment", flat=True))


def hold_on_model(model: RegisteredModel) -> str:
    """Say what keeps a model and its name, or return an empty text."""
    if Endpoint.objects.filter(model=model).exists():
        return "an endpoint answers with it"
    if PromotionRequest.objects.filter(version__model=model).exists():
        return "promotions refer to it, and they are signed with its name"
    if RetrainTrigger.objects.filter(model=model).exists():
        return "an automation retrained it"
    return _hold_of_files(TechnicalFile.objects.filter(model=model))


def hold_on_version(version: ModelVersion) -> str:
    """Say what keeps a version, or return an empty text."""
    if EndpointRevision.objects.filter(version=version).exists():
        return "an endpoint answers or answered with it"
    if PromotionRequest.objects.filter(Q(version=version) | Q(baseline=version)).exists():
        return "promotions refer to it"
    return _hold_of_files(TechnicalFile.objects.filter(version=version))


def _hold_of_files(rows: QuerySet[TechnicalFile]) -> str:
    """Say until when issued technical files hold what they describe."""
    newest = rows.order_by("-number").first()
    return f"a technical file was issued for it, kept until {newest.kept_until:%Y-%m-%d}" if newest else ""


def _ask(model: RegisteredModel, version: ModelVersion | None) -> str:
    slug = model.project.slug
    if version is None:
        return f"Ask for one on the page of the version: {_link('deployments:model-detail', slug, model.name)}"
    return f"Ask for one there: {_link('deployments:version-detail', slug, model.name, version.number)}#ask-h"


def _link(name: str, *words: object) -> str:
    return f"{settings.BASE_URL}{reverse(name, args=words)}"
