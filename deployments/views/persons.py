"""What is held about one person, in the settings of a project: ask, look, take the report along."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from deployments.models import PersonSearch
from deployments.services import persons
from mlportal.lib.forms import Form
from projects.access import ProjectView
from projects.permissions import Permission
from projects.views.accounts import see_other

SHOWN = 100


class NewPersonSearch(Form):
    """Who is looked for and why."""

    person = forms.CharField(
        label="Who", max_length=persons.LONGEST, widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="The value that tells who it is, as it stands in the data, such as a customer's number.",
    )  # fmt: skip
    ticket = forms.CharField(label="Letter or case", max_length=100, help_text="This stays; who it is does not.")
    erase = forms.BooleanField(
        label="Erase them from the prediction log", required=False,
        help_text="Deletes their predictions, labels and explanations for good. Datasets are only listed.",
    )  # fmt: skip


@method_decorator(never_cache, name="dispatch")
class PersonSearchList(ProjectView):
    """Searches so far, and the form for another."""

    reads = PersonSearch
    permission = Permission.PROJECT_EDIT

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, NewPersonSearch(), 200)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = NewPersonSearch(request.POST)
        made = (
            form.attempt(lambda: persons.ask(self.actor, project=self.project, **form.cleaned_data))
            if form.is_valid()
            else None
        )
        if made is None:
            return self._page(request, form, 422)
        messages.success(request, "A worker looks now.")
        return see_other(reverse("deployments:person-search", args=[self.project.slug, made.pk]))

    def _page(self, request: HttpRequest, form: NewPersonSearch, status: int) -> HttpResponse:
        found = self.rows().in_project(self.project).select_related("asked_by").order_by("-pk")[:SHOWN]
        return render(request, "deployments/persons.html", {"searches": found, "form": form}, status=status)


class _OneSearch(ProjectView):
    abstract = True
    reads = PersonSearch

    def load(self, number: int) -> PersonSearch:
        """Return the search that the address names."""
        rows = self.rows().in_project(self.project).select_related("project", "asked_by")
        found: PersonSearch = self.find(rows, pk=number)
        return found


@method_decorator(never_cache, name="dispatch")
class PersonSearchDetail(_OneSearch):
    """What was found."""

    reads = PersonSearch
    permission = Permission.PROJECT_EDIT

    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        search = self.load(number)
        values: dict[str, Any] = {
            "search": search,
            "found": search.result,
            "counts": persons.counts(search.result or {}),
        }
        return render(request, "deployments/person.html", values)


class PersonReport(_OneSearch):
    """The report as a file."""

    reads = PersonSearch
    permission = Permission.PROJECT_EDIT

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        del request
        search = self.load(number)
        answer = HttpResponse(persons.report(self.actor, search=search), content_type="application/json")
        answer["Content-Disposition"] = f'attachment; filename="person-{search.pk}.json"'
        return answer
