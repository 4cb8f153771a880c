"""Write the hand-written parts of model cards, and keep cards with requests."""

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from deployments.cards import card
from deployments.cards.parts import OF_MODEL, PARTS
from deployments.cards.records import load
from deployments.models import KeptCard, ModelVersion, PaperVersion, PromotionRequest, RegisteredModel
from deployments.proof import papers, veil
from deployments.proof.papers import Json
from deployments.services import evidence, registered, writings
from mlportal.lib.errors import Missing
from projects.actor import Actor
from projects.permissions import Permission, require


def read(by: Actor, *, version: ModelVersion, number: int | None = None) -> Json:
    """Return the card of a version; people are named by their accounts, see :func:`writings.named`.

    Raises
    ------
    Missing
        When the model has no such version of the card.
    """
    require(by, Permission.MODEL_VIEW, version.model.project)
    if number and not writings.history(by, version=version, paper="card").filter(number=number).exists():
        raise Missing(f"There is no card {number} of {version}.", field="number")
    return card.document(load(version, hidden=evidence.hidden_from(by, version=version)), number=number)


def write(
    by: Actor, *, version: ModelVersion, texts: Mapping[str, str], level: str = "model", seen: int | None = None
) -> PaperVersion | None:
    """Save texts of the card, for the model or for one version of it; what does not change makes no new card.

    Parameters
    ----------
    texts
        Texts by name, see :data:`PARTS`; an empty one takes the text away, at the level of a version its own.
    level
        ``model`` for every version, ``version`` for this one alone.
    seen
        Number of the card the writer started from; when somebody saved another meanwhile it is refused.

    Returns
    -------
    PaperVersion or None
        The new version, None when nothing changed.

    Raises
    ------
    Invalid
        When a name or the level is not known or a text breaks a rule.
    Conflict
        When somebody saved in between.
    """
    require(by, Permission.MODEL_REGISTER, version.model.project)
    clean = writings.checked(texts, {name: item.label for name, item in PARTS.items()})
    with transaction.atomic():
        held = registered.lock(version.model)
        shown = {name: getattr(held, name) for name in OF_MODEL} if level == "model" else {}
        told = _tell_model(held, {name: clean[name] for name in shown if clean.get(name, shown[name]) != shown[name]})
        return writings.add(
            by, version=version, paper="card", level=level, texts=clean, seen=seen, shown=shown, told=told
        )


def keep(request: PromotionRequest) -> KeptCard:
    """Keep the card with a request as it is now, in the caller's transaction; a new measuring keeps a new one."""
    document = card.document(load(request.version))
    KeptCard.objects.filter(request=request).delete()
    return KeptCard.objects.create(
        request=request, number=document["about"]["card"], document=document, sha256=papers.digest(document)
    )


def kept(by: Actor, *, request: PromotionRequest) -> KeptCard:
    """Return the card that was kept with a request, to be read and not to be saved.

    Its hash is that of the card with all that the approver may see.

    Raises
    ------
    Missing
        When the request was measured before cards were kept, or not yet.
    """
    require(by, Permission.MODEL_VIEW, request.project)
    found = KeptCard.objects.filter(request=request).first()
    if found is None:
        raise Missing(f"No model card was kept with promotion {request.pk}.")
    found.document = veil.paper(found.document, evidence.hidden_from(by, version=request.version))
    return found


def difference(by: Actor, *, version: ModelVersion, old: int, new: int) -> list[Json]:
    """Say which hand-written parts differ between two versions of the card, see :func:`papers.difference`.

    Raises
    ------
    Missing
        When the version shows no such card.
    """
    require(by, Permission.MODEL_VIEW, version.model.project)
    known = set(writings.history(by, version=version, paper="card").values_list("number", flat=True)) | {0}
    for number in (old, new):
        if number not in known:
            raise Missing(f"There is no card {number} of {version}.", field="number")
    facts = load(version, hidden=evidence.hidden_from(by, version=version))
    return papers.difference(card.document(facts, number=old), card.document(facts, number=new))


def _tell_model(held: RegisteredModel, texts: Mapping[str, str]) -> Json:
    """Write what the card and the page of the model both say to the model too. Returns before and after by name."""
    told = {name: {"from": getattr(held, name), "to": text} for name, text in texts.items()}
    for name, text in texts.items():
        setattr(held, name, text)
    if texts:
        held.revision, held.updated_at = held.revision + 1, timezone.now()
        held.save(update_fields=[*texts, "revision", "updated_at"])
    return told
