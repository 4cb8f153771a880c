"""The morning page: what is wrong, silent, stuck or full, over all projects of a person, on one screen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, OuterRef, Q, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from deployments.models import PromotionRequest
from experiments.models import TrainingJob
from mlportal import health
from mlportal.lib import disks
from mlportal.lib.lease import ACTIVE, WorkState
from mlportal.lib.quantities import filesize
from monitoring import spool
from monitoring.models import Alert, AlertGroup, Incident, Monitor, Window
from monitoring.models.alerts import SHOWN
from monitoring.services import response
from projects.access import SiteView
from projects.models import Channel, DatasetVersion, Delivery, Project
from projects.permissions import Permission

SHOWN_LINES = 5
MOST_COUNTED = 200
PARTS = {"database": "Database", "broker": "Broker", "worker": "Workers", "beat": "Scheduler", "serve": "Serving"}
SILENT_STEPS = 3
FULL_SHARE = 0.9
HALF_FULL = 0.5  # of the prediction log: the shipper is away, or slower than what answers


@dataclass(frozen=True)
class Line:
    """One line of a box."""

    title: str
    href: str
    small: str
    at: Any = None
    tone: str = ""


@dataclass(frozen=True)
class Box:
    """One box of the page: a number, whether it is bad, and its first lines."""

    key: str
    icon: str
    heading: str
    count: str
    tone: str
    lines: Sequence[Line]
    quiet: str
    href: str = ""


class Ops(SiteView):
    """Everything that somebody on duty looks at first."""

    reads = Project
    permission = Permission.ACCOUNT_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the boxes; the page asks again by itself every 15 seconds."""
        mine = self.rows()
        boxes = [
            _incidents(mine), _firing(mine), _silent(mine), _jobs(mine), _queue(mine), _parts(), _storage(mine),
            _undelivered(mine), _suspended(mine),
        ]  # fmt: skip
        wrong = sum(bool(box.tone) for box in boxes)
        times = response.of_alerts(Alert.objects.filter(project__in=mine))
        return render(request, "ops.html", {"boxes": boxes, "wrong": wrong, "times": times, "now": timezone.now()})


def _number(found: Sequence[Any]) -> str:
    return f"{len(found)}" if len(found) < MOST_COUNTED else f"{MOST_COUNTED}+"


def _incidents(mine: Any) -> Box:
    rows = Incident.objects.open().filter(project__in=mine)
    rows = rows.annotate(firing=Count("alerts", filter=Q(alerts__state__in=SHOWN))).select_related("project")
    found = list(rows.order_by("severity_rank", "-opened_at")[:MOST_COUNTED])
    lines = [
        Line(one.title, f"/p/{one.project.slug}/incidents/{one.pk}/",
             f"{one.endpoint or one.project.name}, {one.firing or 'none'} firing", one.opened_at,
             "bad" if one.severity in ("critical", "high") else "warn")
        for one in found[:SHOWN_LINES]
    ]  # fmt: skip
    tone = "bad" if found else ""
    return Box("incidents", "alert-octagon", "Open incidents", _number(found), tone, lines, "No incident is open.")


def _firing(mine: Any) -> Box:
    rows = Alert.objects.shown().filter(project__in=mine).with_silence(timezone.now()).select_related("project", "rule")
    found = list(rows.worst_first()[:MOST_COUNTED])
    rules: dict[int, list[Any]] = {}
    for alert in found:
        rules.setdefault(alert.rule_id, []).append(alert)
    lines = [
        Line(held[0].rule.name, f"/p/{held[0].project.slug}/alerts/{held[0].pk}/", _of_rule(held), held[0].changed_at,
             "bad" if held[0].severity in ("critical", "high") else "warn")
        for held in list(rules.values())[:SHOWN_LINES]
    ]  # fmt: skip
    loud = any(not alert.silenced and alert.acknowledged_at is None for alert in found)
    tone = "bad" if loud else ("warn" if found else "")
    return Box("firing", "bell", "Firing rules", f"{len(rules)}", tone, lines, "No rule fires.")


def _of_rule(held: Sequence[Any]) -> str:
    seen = sum(alert.acknowledged_at is not None for alert in held)
    hushed = sum(bool(alert.silenced) for alert in held)
    said = [f"{len(held)} alert{'s' if len(held) != 1 else ''}"]
    said += [f"{seen} acknowledged"] if seen else []
    said += [f"{hushed} silenced"] if hushed else []
    return ", ".join(said)


def _silent(mine: Any) -> Box:
    newest = Window.objects.filter(monitor=OuterRef("pk")).order_by("-ends_at")
    rows = Monitor.objects.live().main().filter(project__in=mine).defer("reference").select_related("project")
    now = timezone.now()
    found = []
    for one in rows.annotate(last_rows=Subquery(newest.values("rows")[:1])).order_by("endpoint")[:500]:
        late = now - (one.rolled_to or one.valid_from) > SILENT_STEPS * one.step + timedelta(minutes=2)
        if late or one.last_rows == 0:
            small = "is not judged" if late else f"no requests in the last {one.window_words}"
            href = f"/p/{one.project.slug}/monitoring/?endpoint={one.endpoint}"
            found.append(Line(one.endpoint, href, small, one.rolled_to or one.valid_from, "bad" if late else "warn"))
    tone = "bad" if any(line.tone == "bad" for line in found) else ("warn" if found else "")
    return Box("silent", "activity", "Silent monitors", f"{len(found)}", tone, found[:SHOWN_LINES], "All are judged.")


def _jobs(mine: Any) -> Box:
    since = timezone.now() - timedelta(hours=24)
    rows = TrainingJob.objects.filter(
        project__in=mine, state__in=[WorkState.FAILED, WorkState.TIMED_OUT], ended_at__gte=since
    )
    found = list(rows.select_related("project", "run").order_by("-ended_at")[:MOST_COUNTED])
    lines = [
        Line(f"Job {job.pk}: {job.run.name}", f"/p/{job.project.slug}/jobs/{job.pk}/",
             job.failure.partition("\n")[0][:80] or "no cause given", job.ended_at, "bad")
        for job in found[:SHOWN_LINES]
    ]  # fmt: skip
    return Box("jobs", "circle-x", "Failed jobs, 24 h", _number(found), "bad" if found else "", lines, "None failed.")


def _queue(mine: Any) -> Box:
    rows = TrainingJob.objects.filter(project__in=mine)
    found = rows.aggregate(
        waiting=Count("pk", filter=Q(state=WorkState.QUEUED)), running=Count("pk", filter=Q(state__in=ACTIVE)),
        oldest=Min("created_at", filter=Q(state=WorkState.QUEUED)),
    )  # fmt: skip
    lines = [Line(f"{found['running']} running", "", "", None)]
    tone = ""
    if found["oldest"]:
        late = timezone.now() - found["oldest"] > timedelta(minutes=10)
        tone = "warn" if late else ""
        lines.insert(0, Line("The oldest waits", "", "for a free worker", found["oldest"], tone))
    return Box("queue", "circle-dashed", "Jobs waiting", f"{found['waiting']}", tone, lines, "")


def _parts() -> Box:
    found = health.check(list(PARTS))
    down = [name for name, up in found.items() if not up]
    lines = [Line(PARTS[name], "", "up" if up else "silent", None, "" if up else "bad") for name, up in found.items()]
    count = f"{len(found) - len(down)}/{len(found)}"
    return Box("parts", "server-2", "Workers and parts up", count, "bad" if down else "", lines, "")


def _storage(mine: Any) -> Box:
    room = disks.room(settings.DATA_DIR)
    rows = DatasetVersion.objects.filter(dataset__project__in=mine)
    held = rows.aggregate(total=Sum("size_bytes"), count=Count("pk"))
    lines = [
        Line(f"{filesize(room.free)} free", "", f"of {filesize(room.total)}"),
        Line(f"{filesize(held['total'] or 0)} of datasets", "", f"{held['count']:,} versions"),
        _spooled(),
    ]
    tone = "bad" if room.share > FULL_SHARE else lines[-1].tone
    return Box("storage", "database", "Storage used", f"{room.share:.0%}", tone, lines, "")


def _spooled() -> Line:
    """What of the prediction log waits on this host: once it is full, rows are lost or requests refused."""
    waiting, most = spool.waiting_bytes(Path(settings.SPOOL_DIR)), settings.SPOOL_QUOTA_BYTES
    share = waiting / most if most else 1.0
    tone = "bad" if share >= FULL_SHARE else "warn" if share >= HALF_FULL else ""
    return Line(f"{filesize(waiting)} of predictions wait", "", f"{share:.0%} of {filesize(most)}", None, tone)


def _undelivered(mine: Any) -> Box:
    since = timezone.now() - timedelta(hours=24)
    rows = Delivery.objects.filter(channel__project__in=mine, created_at__gte=since).filter(
        Q(state=Delivery.State.DEAD) | Q(state=Delivery.State.PENDING, attempts__gt=0)
    )
    found = list(rows.select_related("channel__project").order_by("-pk")[:MOST_COUNTED])
    lines = [
        Line(one.channel.name, f"/p/{one.channel.project.slug}/settings/channels/", one.subject[:70], one.created_at,
             "bad" if one.state == Delivery.State.DEAD else "warn")
        for one in found[:SHOWN_LINES]
    ]  # fmt: skip
    late = AlertGroup.objects.filter(
        route__project__in=mine, route__channel__kind__in=Channel.Kind.values,
        due_at__lt=timezone.now() - timedelta(minutes=2),
    ).count()  # fmt: skip
    if late:
        lines.insert(0, Line(f"{late} groups of alerts wait to be told", "", "is the scheduler up?", None, "bad"))
    tone = "bad" if any(line.tone == "bad" for line in lines) else ("warn" if lines else "")
    return Box("messages", "send", "Messages not delivered", _number(found), tone, lines[:SHOWN_LINES], "All arrived.")


def _suspended(mine: Any) -> Box:
    rows = PromotionRequest.objects.suspended().filter(project__in=mine).select_related("project")
    found = list(rows.with_subject().order_by("-pk")[:MOST_COUNTED])
    lines = [
        Line(
            str(one.version), f"/p/{one.project.slug}/promotions/{one.pk}/", f"in {one.environment.name}", None, "warn"
        )
        for one in found[:SHOWN_LINES]
    ]
    return Box("suspended", "shield-check", "Approvals suspended", _number(found), "warn" if found else "", lines,
               "None.")  # fmt: skip
