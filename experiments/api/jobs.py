"""REST routes of training jobs."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.api import job_shapes as shapes
from experiments.models import Run, TrainingJob
from experiments.queries import joblog
from experiments.services import jobs
from experiments.training import catalogue
from mlportal.lib.errors import Invalid
from mlportal.lib.lease import WorkState
from projects.access import ScopedAPIView
from projects.permissions import Permission
from projects.services import datasets


class Jobs(ScopedAPIView):
    """Training jobs of a project."""

    reads = TrainingJob
    permissions = {"GET": Permission.RUN_VIEW, "POST": Permission.JOB_LAUNCH}

    @extend_schema(
        operation_id="jobs_list",
        parameters=[
            OpenApiParameter("state", str, enum=WorkState.values),
            OpenApiParameter("limit", int, description="1 to 1,000; 100 by default."),
            OpenApiParameter("cursor", str),
        ],
        responses=shapes.JobPageOut,
    )
    def get(self, request: Request) -> Response:
        """List jobs, newest first."""
        rows = _jobs(self)
        state = request.query_params.get("state", "")
        if state:
            if state not in WorkState.values:
                raise Invalid(
                    f"There is no state {state[:50]!r}. Allowed: {', '.join(WorkState.values)}.",
                    field="state",
                    limit=WorkState.values,
                    got=state[:50],
                )
            rows = rows.filter(state=state)
        return self.page(rows, shapes.JobOut)

    @extend_schema(operation_id="jobs_launch", request=shapes.JobIn, responses={201: shapes.JobOut})
    def post(self, request: Request) -> Response:
        """Launch a training. It is queued when this answers; read the job to follow it."""
        body = shapes.JobIn(data=request.data)
        body.is_valid(raise_exception=True)
        given: dict[str, Any] = body.validated_data
        version = datasets.ready_version(
            self.actor, project=self.project, name=given["dataset"], number=given["version"]
        )
        baseline = None
        if given["baseline"] is not None:
            baseline = self.find(Run.objects.visible_to(self.actor).in_project(self.project), pk=given["baseline"])
        job = jobs.launch(
            self.actor,
            project=self.project,
            experiment=given["experiment"],
            dataset_version=version,
            spec=given["spec"],
            name=given["name"],
            baseline=baseline,
            limits=given["limits"],
            override_reason=given["override_reason"],
        )
        return _answer(job, status.HTTP_201_CREATED)


class JobDetail(ScopedAPIView):
    """One training job."""

    reads = TrainingJob
    permissions = {"GET": Permission.RUN_VIEW}

    @extend_schema(operation_id="jobs_get", responses=shapes.JobDetailOut)
    def get(self, request: Request, job: int) -> Response:
        """Read a job with its attempts."""
        found = self.find(_jobs(self).prefetch_related("attempts"), pk=job)
        return Response(shapes.JobDetailOut(found).data)


class JobCancel(ScopedAPIView):
    """Stopping a job."""

    reads = TrainingJob
    permissions = {"POST": Permission.JOB_CANCEL}

    @extend_schema(operation_id="jobs_cancel", request=None, responses=shapes.JobOut)
    def post(self, request: Request, job: int) -> Response:
        """Stop a job: at once while it waits, within seconds while it trains."""
        return _answer(jobs.cancel(self.actor, job=self.find(_jobs(self), pk=job)))


class JobRetry(ScopedAPIView):
    """Trying a job again."""

    reads = TrainingJob
    permissions = {"POST": Permission.JOB_LAUNCH}

    @extend_schema(operation_id="jobs_retry", request=None, responses={201: shapes.JobOut})
    def post(self, request: Request, job: int) -> Response:
        """Launch the same training again as a new job."""
        return _answer(jobs.retry(self.actor, job=self.find(_jobs(self), pk=job)), status.HTTP_201_CREATED)


class JobRepeat(ScopedAPIView):
    """The same training once more."""

    reads = TrainingJob
    permissions = {"POST": Permission.JOB_LAUNCH}

    @extend_schema(operation_id="jobs_repeat", request=None, responses={201: shapes.JobOut})
    def post(self, request: Request, job: int) -> Response:
        """Launch the same training once more, whatever came of it."""
        return _answer(jobs.repeat(self.actor, job=self.find(_jobs(self), pk=job)), status.HTTP_201_CREATED)


class JobLogs(ScopedAPIView):
    """The log of a job."""

    reads = TrainingJob
    permissions = {"GET": Permission.RUN_VIEW}

    @extend_schema(operation_id="jobs_logs", parameters=[shapes.LogQuery], responses=shapes.LogOut)
    def get(self, request: Request, job: int) -> Response:
        """Read log lines of the newest attempt, or of the one asked for."""
        query = shapes.LogQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked: dict[str, Any] = query.validated_data
        found = self.find(_jobs(self), pk=job)
        tries = found.attempts.order_by("-pk")
        attempt = (tries.filter(number=asked["attempt"]) if "attempt" in asked else tries).first()
        lines = joblog.lines(attempt, after=asked["after"], limit=asked["limit"]) if attempt else []
        after = lines[-1].number + 1 if lines else asked["after"]
        ended = found.is_terminal and len(lines) < asked["limit"]
        body = {"attempt": attempt.number if attempt else None, "lines": lines, "next": after, "ended": ended}
        return Response(shapes.LogOut(body).data)


class Algorithms(ScopedAPIView):
    """The catalogue of algorithms."""

    reads = TrainingJob
    permissions = {"GET": Permission.RUN_VIEW}

    @extend_schema(operation_id="algorithms_list", responses=shapes.AlgorithmOut(many=True))
    def get(self, request: Request) -> Response:
        """List what can be trained, with each parameter's type, default and range."""
        return Response([entry.as_json() for entry in catalogue.ALGORITHMS.values()])


def _jobs(view: ScopedAPIView) -> "QuerySet[TrainingJob]":
    return TrainingJob.objects.visible_to(view.actor).in_project(view.project).with_context()


def _answer(job: TrainingJob, code: int = status.HTTP_200_OK) -> Response:
    fresh = TrainingJob.objects.with_context().get(pk=job.pk)
    return Response(shapes.JobOut(fresh).data, status=code)
