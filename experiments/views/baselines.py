"""The run that another is measured against: chosen in the address, else what its job named, else the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from experiments import queries
from experiments.models import Run, TrainingJob
from experiments.queries import RunFacts


@dataclass(frozen=True, slots=True)
class Choice:
    """The baseline of a page.

    Attributes
    ----------
    facts : RunFacts or None
        The run; none when there is no other or none is wanted.
    text : str
        What the address asked for.
    fault : str
        Why that could not be done, as a sentence.
    offers : list of (str, str)
        What may be asked for, with words for it.
    """

    facts: RunFacts | None
    text: str
    fault: str
    offers: list[tuple[str, str]]


def choose(facts: RunFacts, asked: Mapping[str, str]) -> Choice:
    """Read ``baseline`` of an address: ``parent``, ``best``, ``none`` or the number of a run of this project."""
    text, run = asked.get("baseline", "").strip()[:40], facts.run
    offers = [("best", "best of the experiment"), ("none", "no baseline")]
    if run.parent_id:
        offers.insert(0, ("parent", f"its parent, run {run.parent_id}"))
    if text == "none":
        return Choice(None, text, "", offers)
    number, fault = _number(run, text)
    found = queries.facts_of([number]) if number else []
    return Choice(found[0] if found else None, text, fault, offers)


def _number(run: Run, text: str) -> tuple[int | None, str]:
    if text == "parent" and run.parent_id:
        return run.parent_id, ""
    if text == "best":
        return _best(run), ""
    if text.isascii() and text.isdigit() and len(text) < 19:
        if Run.objects.filter(project=run.project_id, pk=int(text)).exists():
            return int(text), ""
        return usual(run), f"There is no run {text} in this project to compare with."
    fault = f"{text!r} is no run to compare with. Give its number, best, parent or none." if text else ""
    return usual(run), fault


def usual(run: Run) -> int | None:
    """Number of the run that this one is measured against when nobody says which: what its job named, else the best."""
    named = TrainingJob.objects.filter(run=run).values_list("baseline", flat=True).first()
    return named or _best(run)


def _best(run: Run) -> int | None:
    family = [pk for pk in (run.pk, run.parent_id) if pk is not None]
    names = queries.leading_metrics(run.experiment)
    return queries.best_run(run.experiment, names[0], without=family) if names else None
