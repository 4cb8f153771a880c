"""Pages of checks: what was found on a version, and the rules of a dataset with what its profile suggests."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from mlportal.lib import names
from mlportal.lib.errors import Invalid, Missing
from projects.access import ProjectView
from projects.forms.checks import CheckForm, initial_of
from projects.models import CheckResult, CheckRun, CheckSet, Dataset, DatasetVersion
from projects.permissions import Permission
from projects.services import checks
from projects.tabular.checks.rules import EXPECTATIONS, Rule
from projects.views import dataset_context
from projects.views.accounts import see_other
from projects.views.datasets import OneVersion


@dataclass(frozen=True)
class Line:
    """One check on the tab: what was found, and its values over the versions."""

    result: CheckResult
    past: list[CheckResult]

    @property
    def values(self) -> list[float | None]:
        """Measured values, oldest first, for the small chart."""
        return [one.measured for one in self.past]

    @property
    def told(self) -> str:
        """The same in words."""
        return ", ".join(f"{one.run.version.label} {one.outcome}" for one in self.past[-5:])


class VersionChecks(OneVersion):
    """The Checks tab of a version; a post measures them again."""

    reads = DatasetVersion
    permission = Permission.DATASET_VIEW
    write_permission = Permission.DATASET_CREATE

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Show what the newest run found."""
        version = self.version(name, number)
        run = checks.newest_run(self.actor, version=version)
        found = checks.results(self.actor, run=run) if run else []
        past = checks.history(self.actor, dataset=version.dataset) if found else {}
        context = dataset_context.frame(self.actor, version) | {
            "run": run,
            "lines": [Line(one, past.get(one.key, [])) for one in found],
            "verdict": _verdict(run, found) if run else "",
            "check_set": checks.current(self.actor, dataset=version.dataset),
            "suggested": len(checks.suggested(self.actor, dataset=version.dataset)),
        }
        return render(request, "projects/dataset_checks.html", context)

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Measure the newest rules on this version."""
        version = self.version(name, number)
        checks.run(self.actor, version=version)
        messages.success(request, f"The checks of {version} are queued.")
        return see_other(request.path)


class VersionChecksProgress(OneVersion):
    """The card of a run that is under way, for polling; the page reloads itself once it has ended."""

    reads = DatasetVersion
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """The card, or the order to reload."""
        version = self.version(name, number)
        run = checks.newest_run(self.actor, version=version)
        response = render(request, "projects/_checks_progress.html", {"version": version, "run": run})
        if run is None or run.is_terminal:
            response["HX-Refresh"] = "true"
        return response


class _Rules(ProjectView):
    abstract = True
    reads = Dataset
    permission = Permission.DATASET_VIEW
    write_permission = Permission.DATASET_CREATE

    def dataset(self, name: str) -> Dataset:
        """The dataset that the address names."""
        rows = self.rows().in_project(self.project).select_related("project", "created_by")
        found: Dataset = self.find(rows, name_key=names.key(name))
        return found

    def home(self, dataset: Dataset) -> HttpResponse:
        """Back to the rules."""
        return see_other(reverse("projects:dataset-checks", args=[self.project.slug, dataset.name]))

    def columns(self, dataset: Dataset, rule: Rule | None = None) -> list[str]:
        """Columns to choose from: those of the newest ready version, and what the rule names."""
        version = dataset.versions.ready().order_by("-number").first()
        known = [entry["name"] for entry in version.schema] if version else []
        return list(dict.fromkeys([*known, *(rule.columns if rule else ())]))


class DatasetChecks(_Rules):
    """The rules of a dataset, and what the newest profile suggests."""

    reads = Dataset
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show both lists."""
        return self._show(request, self.dataset(name))

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        """Take the ticked suggestions."""
        dataset = self.dataset(name)
        try:
            found = checks.take(self.actor, dataset=dataset, keys=request.POST.getlist("take"))
        except Invalid as error:
            return self._show(request, dataset, problem=error.message, status=422)
        messages.success(request, f"{dataset.name} has {len(found.rules)} checks now.")
        return self.home(dataset)

    def _show(self, request: HttpRequest, dataset: Dataset, *, problem: str = "", status: int = 200) -> HttpResponse:
        found = checks.current(self.actor, dataset=dataset)
        numbers = checks.numbers_of(dataset)
        context = {
            "dataset": dataset,
            "check_set": found,
            "rules": [(rule, numbers.get(rule.key)) for rule in checks.rules_of(found)],
            "suggested": checks.suggested(self.actor, dataset=dataset),
            "newest": dataset.versions.ready().order_by("-number").first(),
            "kinds": EXPECTATIONS,
            "problem": problem,
        }
        return render(request, "projects/checks.html", context, status=status)


class CheckNew(_Rules):
    """A new rule of one kind, empty or from a suggestion."""

    reads = Dataset
    permission = Permission.DATASET_CREATE

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the form."""
        dataset, wanted = self.dataset(name), request.GET.get("suggestion", "")
        rule = next((one for one in checks.suggested(self.actor, dataset=dataset) if one.key == wanted), None)
        kind = rule.kind if rule else _kind(request.GET.get("kind", ""))
        columns = self.columns(dataset, rule)
        shown = initial_of(rule) if rule else {"columns": request.GET.get("column", "")[:200], "severity": "gate"}
        return _form_page(request, dataset, CheckForm(kind=kind, columns=columns, initial=shown), None, 200)

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        """Add it, or say what needs a change."""
        dataset = self.dataset(name)
        form = CheckForm(request.POST, kind=_kind(request.POST.get("kind", "")), columns=self.columns(dataset))
        put = checks.put
        if form.is_valid() and form.attempt(lambda: put(self.actor, dataset=dataset, rule=form.rule())) is not None:
            messages.success(request, "The check is added. It runs on the next version, or when you ask for it.")
            return self.home(dataset)
        return _form_page(request, dataset, form, None, 422)


class CheckEdit(_Rules):
    """One rule: change or remove it."""

    reads = Dataset
    permission = Permission.DATASET_CREATE

    def get(self, request: HttpRequest, name: str, key: str) -> HttpResponse:
        """Show the form."""
        dataset = self.dataset(name)
        rule = self._rule(dataset, key)
        form = CheckForm(kind=rule.kind, columns=self.columns(dataset, rule), initial=initial_of(rule))
        return _form_page(request, dataset, form, rule, 200)

    def post(self, request: HttpRequest, name: str, key: str) -> HttpResponse:
        """Save or remove it."""
        dataset = self.dataset(name)
        rule = self._rule(dataset, key)
        if "remove" in request.POST:
            checks.remove(self.actor, dataset=dataset, key=key)
            messages.success(request, f"Removed: {rule.sentence}.")
            return self.home(dataset)
        form = CheckForm(request.POST, kind=rule.kind, columns=self.columns(dataset, rule))
        if form.is_valid() and form.attempt(lambda: self._save(dataset, form, rule)) is not None:
            messages.success(request, "The check is saved.")
            return self.home(dataset)
        return _form_page(request, dataset, form, rule, 422)

    def _save(self, dataset: Dataset, form: CheckForm, rule: Rule) -> CheckSet:
        wanted = form.rule()
        if tuple(wanted["columns"]) == rule.columns:
            wanted["key"] = rule.key  # the same check with another limit keeps its history
        return checks.put(self.actor, dataset=dataset, rule=wanted, replaces=rule.key)

    def _rule(self, dataset: Dataset, key: str) -> Rule:
        known = checks.rules_of(checks.current(self.actor, dataset=dataset))
        rule = next((one for one in known if one.key == key), None)
        if rule is None:
            raise Missing(f"{dataset.name} has no check {key[:40]!r}.")
        return rule


def _kind(text: str) -> str:
    if text not in EXPECTATIONS:
        raise Invalid(f"There is no kind of check {text[:40]!r}. Kinds: {', '.join(EXPECTATIONS)}.", field="kind")
    return text


def _form_page(request: HttpRequest, dataset: Dataset, form: CheckForm, rule: Rule | None, status: int) -> HttpResponse:
    context: dict[str, Any] = {"dataset": dataset, "form": form, "rule": rule, "kind": form.expected}
    return render(request, "projects/check.html", context, status=status)


def _verdict(run: CheckRun, found: list[CheckResult]) -> str:
    """One sentence: how many hold, and whether the version may be trained on."""
    if not run.is_terminal or not found:
        return ""
    barred = sum(one.severity == "gate" and not one.passed for one in found)
    warned = run.total - run.passed_count - barred
    if run.passed_count == run.total:
        return f"All {run.total} checks hold."
    parts = [f"{run.passed_count} of {run.total} checks hold."]
    if barred:
        parts.append(f"{barred} must hold and {'does' if barred == 1 else 'do'} not, so training on it is refused.")
    if warned:
        parts.append(f"{warned} only {'warns' if warned == 1 else 'warn'}.")
    return " ".join(parts)
