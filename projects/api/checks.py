"""REST routes of checks: rules of a dataset, suggestions, runs and results on a version, history."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mlportal.lib import names
from mlportal.lib.errors import Missing
from projects.access import ScopedAPIView
from projects.models import CheckResult, CheckRun, CheckSet, Dataset, DatasetVersion
from projects.permissions import Permission
from projects.services import checks
from projects.tabular.checks.rules import EXPECTATIONS, SEVERITIES, Rule

P = Permission


class RuleSerializer(serializers.Serializer[Any]):
    """One check. Its limits stand beside these fields: min, max, max_share, allowed, regex, query, and so on."""

    id = serializers.IntegerField(read_only=True, help_text="Number of the check for stars and comments.")
    key = serializers.CharField(required=False, help_text="Known by over all rule sets; made from kind and columns.")
    kind = serializers.ChoiceField(choices=list(EXPECTATIONS))
    severity = serializers.ChoiceField(choices=list(SEVERITIES), required=False)
    columns = serializers.ListField(child=serializers.CharField(), required=False)
    name = serializers.CharField(required=False)
    sentence = serializers.CharField(read_only=True)


class RulesSerializer(serializers.Serializer[Any]):
    """The newest rule set of a dataset."""

    number = serializers.IntegerField(read_only=True, help_text="0 while there is none.")
    rules = RuleSerializer(many=True)
    created_by = serializers.CharField(read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True, allow_null=True)


class KeysSerializer(serializers.Serializer[Any]):
    """Which suggestions to take."""

    keys = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, allow_null=True, default=None,
        max_length=500, help_text="All of them by default.",
    )  # fmt: skip


class ResultSerializer(serializers.ModelSerializer[CheckResult]):
    """What one check found."""

    class Meta:
        model = CheckResult
        fields = (
            "key", "kind", "severity", "sentence", "outcome", "measured", "shown", "limit", "failing", "sample",
            "message",
        )  # fmt: skip
        read_only_fields = fields


class CheckRunSerializer(serializers.ModelSerializer[CheckRun]):
    """One measuring of a rule set on a version."""

    check_set = serializers.IntegerField(source="check_set.number", read_only=True)
    requested_by = serializers.CharField(source="requested_by.username", read_only=True)
    results = serializers.SerializerMethodField()

    class Meta:
        model = CheckRun
        fields = (
            "id", "state", "progress", "phase", "failure", "verdict", "check_set", "passed_count", "failed_count",
            "error_count", "requested_by", "created_at", "ended_at", "results",
        )  # fmt: skip
        read_only_fields = fields

    def get_results(self, run: CheckRun) -> list[dict[str, Any]]:
        """What each check found, what needs a look first."""
        return [dict(ResultSerializer(one).data) for one in self.context["results"]]


class PastSerializer(serializers.Serializer[Any]):
    """What a check found on one version."""

    version = serializers.IntegerField()
    outcome = serializers.CharField()
    measured = serializers.FloatField(allow_null=True)
    limit = serializers.CharField()


class HistorySerializer(serializers.Serializer[Any]):
    """One check over the versions, oldest first."""

    key = serializers.CharField()
    sentence = serializers.CharField()
    versions = PastSerializer(many=True)


class _OfDataset(ScopedAPIView):
    abstract = True
    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW}

    def dataset(self, name: str) -> Dataset:
        """The dataset of that name."""
        rows = Dataset.objects.visible_to(self.actor).in_project(self.project).select_related("project")
        return self.find(rows, name_key=names.key(name))

    def rules(self, dataset: Dataset, found: CheckSet | None) -> dict[str, Any]:
        """A rule set as it is told."""
        numbers = checks.numbers_of(dataset)
        return {
            "number": found.number if found else 0,
            "rules": [{"id": numbers.get(one.key), **_rule(one)} for one in checks.rules_of(found)],
            "created_by": found.created_by.username if found else None,
            "created_at": found.created_at if found else None,
        }


class DatasetChecks(_OfDataset):
    """Rules of a dataset."""

    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW, "PUT": P.DATASET_CREATE}

    @extend_schema(operation_id="dataset_checks_read", tags=["checks"], responses=RulesSerializer)
    def get(self, request: Request, name: str) -> Response:
        """Read the newest rule set."""
        del request
        dataset = self.dataset(name)
        return Response(self.rules(dataset, checks.current(self.actor, dataset=dataset)))

    @extend_schema(
        operation_id="dataset_checks_save", tags=["checks"], request=RulesSerializer, responses=RulesSerializer
    )
    def put(self, request: Request, name: str) -> Response:
        """Replace the rules. A set that a run has used stays; the next number is made."""
        given = request.data.get("rules") if isinstance(request.data, dict) else None
        if isinstance(given, list):  # these are made from the rest; what was read may be sent back
            given = [{k: v for k, v in one.items() if k not in ("id", "sentence")} if isinstance(one, dict) else one
                     for one in given]  # fmt: skip
        dataset = self.dataset(name)
        return Response(self.rules(dataset, checks.save(self.actor, dataset=dataset, rules=given)))


class DatasetCheckSuggestions(_OfDataset):
    """What the newest profile suggests."""

    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW, "POST": P.DATASET_CREATE}

    @extend_schema(operation_id="dataset_check_suggestions_list", tags=["checks"], responses=RuleSerializer(many=True))
    def get(self, request: Request, name: str) -> Response:
        """List checks that hold on the newest version and are not declared yet."""
        del request
        return Response([_rule(one) for one in checks.suggested(self.actor, dataset=self.dataset(name))])

    @extend_schema(
        operation_id="dataset_check_suggestions_take", tags=["checks"], request=KeysSerializer,
        responses=RulesSerializer,
    )  # fmt: skip
    def post(self, request: Request, name: str) -> Response:
        """Declare all suggestions, or those of these keys."""
        asked = KeysSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        dataset = self.dataset(name)
        found = checks.take(self.actor, dataset=dataset, keys=asked.validated_data["keys"])
        return Response(self.rules(dataset, found))


class DatasetCheckHistory(_OfDataset):
    """What the checks found over the versions."""

    reads = Dataset
    permissions = {"GET": P.DATASET_VIEW}

    @extend_schema(
        operation_id="dataset_checks_history", tags=["checks"], responses=HistorySerializer(many=True),
        parameters=[OpenApiParameter("key", str, description="One check only.")],
    )  # fmt: skip
    def get(self, request: Request, name: str) -> Response:
        """Read the last finished run of each of the newest 30 versions, by check."""
        key = request.query_params.get("key", "")
        found = checks.history(self.actor, dataset=self.dataset(name), keys=[key] if key else None)
        return Response([_history(past) for past in found.values()])


class DatasetVersionChecks(ScopedAPIView):
    """Checks on one version."""

    reads = DatasetVersion
    permissions = {"GET": P.DATASET_VIEW, "POST": P.DATASET_CREATE}

    @extend_schema(operation_id="dataset_version_checks_read", tags=["checks"], responses=CheckRunSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """Read the newest run with its results; 404 when the version was never checked."""
        del request
        version = self._version(name, number)
        run = checks.newest_run(self.actor, version=version)
        if run is None:
            raise Missing(f"{version} has not been checked.")
        return Response(self._shape(run))

    @extend_schema(
        operation_id="dataset_version_checks_run", tags=["checks"], request=None, responses={202: CheckRunSerializer}
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Measure the newest rules on this version; read the run to follow it."""
        del request
        run = checks.run(self.actor, version=self._version(name, number))
        # a run under way has found nothing yet; a token that may only write reads no results
        return Response(CheckRunSerializer(run, context={"results": []}).data, status=202)

    def _version(self, name: str, number: int) -> DatasetVersion:
        rows = DatasetVersion.objects.visible_to(self.actor).in_project(self.project)
        rows = rows.select_related("dataset__project", "created_by")
        return self.find(rows, dataset__name_key=names.key(name), number=number)

    def _shape(self, run: CheckRun) -> Any:
        return CheckRunSerializer(run, context={"results": checks.results(self.actor, run=run)}).data


def _rule(rule: Rule) -> dict[str, Any]:
    return {**rule.as_json(), "sentence": rule.sentence}


def _history(past: list[CheckResult]) -> dict[str, Any]:
    return {
        "key": past[-1].key,
        "sentence": past[-1].sentence,
        "versions": [
            {"version": one.run.version.number, "outcome": one.outcome, "measured": one.measured, "limit": one.limit}
            for one in past
        ],
    }
