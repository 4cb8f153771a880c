"""Celery tasks of the deployments app: ids only, the rows are the truth."""

import os
import socket

from celery import shared_task
from django.utils import timezone

from deployments.services import (
    backtests,
    drawings,
    ledger,
    persons,
    removals,
    reproductions,
    retention,
    retraining,
    rollout_clock,
    rule_rollbacks,
    suspensions,
    technical_files,
    timers,
    trials,
)
from projects.services import events


@shared_task(name="deployments.evaluate_request")
def evaluate_request(evaluation_id: int) -> None:
    """Evaluate the candidate of one promotion request."""
    from deployments import pipeline

    pipeline.evaluate_request(evaluation_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name="deployments.sweep_evaluations")
def sweep_evaluations() -> None:
    """Take up evaluations, explanations and conversions whose worker or message was lost."""
    from deployments import pipeline

    pipeline.sweep_evaluations()
    pipeline.sweep_explanations()
    pipeline.sweep_told()
    pipeline.sweep_conversions()


@shared_task(name="deployments.convert_version")
def convert_version(conversion_id: int) -> None:
    """Convert one version to ONNX and measure the parity."""
    from deployments import pipeline

    pipeline.convert_version(conversion_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name="deployments.explain_prediction")
def explain_prediction(explanation_id: int) -> None:
    """Explain one logged prediction."""
    from deployments import pipeline

    pipeline.explain_prediction(explanation_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name="deployments.score_batch")
def score_batch(batch_id: int) -> None:
    """Score one dataset version."""
    from deployments import pipeline

    pipeline.score_batch(batch_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name="deployments.sweep_batches")
def sweep_batches() -> None:
    """Take up batch scorings whose worker or message was lost."""
    from deployments import pipeline

    pipeline.sweep_batches()


@shared_task(name="deployments.explain_version")
def explain_version(explanation_id: int) -> None:
    """Explain single predictions of one version."""
    from deployments import pipeline

    pipeline.explain_version(explanation_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name="deployments.certify_reproduction")
def certify_reproduction(reproduction_id: int) -> None:
    """Compare a version with its training again, and sign what was found."""
    from deployments import pipeline

    pipeline.certify_reproduction(reproduction_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name="deployments.sweep_reproductions")
def sweep_reproductions() -> None:
    """Take up comparisons whose worker or message was lost."""
    reproductions.sweep()


@shared_task(name="deployments.run_backtest")
def run_backtest(backtest_id: int) -> None:
    """Replay a version of the rules over the past."""
    backtests.work(backtest_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name="deployments.sweep_backtests")
def sweep_backtests() -> None:
    """Take up back-tests and searches for persons whose worker or message was lost."""
    backtests.sweep()
    persons.sweep()


@shared_task(name="deployments.issue_technical_file")
def issue_technical_file(issue_id: int) -> None:
    """Pack one issue of a technical file."""
    technical_files.work(issue_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name="deployments.draw_paper")
def draw_paper(drawing_id: int) -> None:
    """Draw one paper as PDF."""
    drawings.work(drawing_id, worker=f"{socket.gethostname()}:{os.getpid()}")


@shared_task(name="deployments.sweep_technical_files")
def sweep_technical_files() -> None:
    """Take up issues and drawings whose worker or message was lost."""
    technical_files.sweep()
    drawings.sweep()


@shared_task(name="deployments.keep_time")
def keep_time() -> None:
    """Remind, time out, expire and suspend what is due among requests and approvals."""
    timers.tick(now=timezone.now())


@shared_task(name="deployments.move_rollouts")
def move_rollouts() -> None:
    """Judge the open rollouts and move, hold or abort them; look at the running trials."""
    rollout_clock.tick(now=timezone.now())
    trials.tick(now=timezone.now())


@shared_task(name="deployments.react")
def react(delivery_id: int) -> None:
    """React to an alert or to the end of a training: automations, reproductions."""
    with events.consume(delivery_id) as event:
        if event is not None:
            retraining.react(event)
            if event.target_type == "trainingjob":
                reproductions.wake(event)


@shared_task(name="deployments.look_at_held_retrainings")
def look_at_held_retrainings() -> int:
    """Begin held retrainings whose guard is over while their alert still fires."""
    return retraining.look_again()


@shared_task(name="deployments.measure_retrainings")
def measure_retrainings() -> int:
    """Measure what retrainings brought, and what versions showed against their promise."""
    return ledger.measure() + ledger.measure_gaps()


@shared_task(name="deployments.forget_predictions")
def forget_predictions() -> int:
    """Forget predictions that are older than their endpoint keeps them."""
    return retention.forget_due()


@shared_task(name="deployments.forget_statistics")
def forget_statistics() -> int:
    """Forget statistics that are older than the installation keeps them."""
    return retention.forget_statistics_due()


@shared_task(name="deployments.suspend")
def suspend(delivery_id: int) -> None:
    """React to an alert: conditions of approvals. A transaction of its own, because it holds locks of its own."""
    with events.consume(delivery_id) as event:
        if event is not None:
            suspensions.react(event)


@shared_task(name="deployments.roll_back")
def roll_back(delivery_id: int) -> None:
    """React to an alert: rules that roll back. A transaction of its own, because it holds locks of its own."""
    with events.consume(delivery_id) as event:
        if event is not None:
            rule_rollbacks.react(event)


@shared_task(name="deployments.remove_projects")
def remove_projects() -> int:
    """Go on with the removals of projects whose days are over."""
    return removals.work()


@shared_task(name="deployments.search_person")
def search_person(search_id: int) -> None:
    """Find one person in the data of a project."""
    from deployments import pipeline

    pipeline.search_person(search_id, worker=f"{socket.gethostname()}:{os.getpid()}")
