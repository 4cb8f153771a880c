"""Pages that change what people say of a model."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from deployments.forms import ModelFactsForm
from deployments.models import RegisteredModel
from deployments.services import model_facts
from deployments.views.answers import see
from mlportal.lib.errors import DomainError
from projects.access import ProjectView
from projects.permissions import Permission


def model_address(model: RegisteredModel) -> str:
    """Return the address of a model's page."""
    return reverse("deployments:model-detail", args=[model.project.slug, model.name])


class _OneModel(ProjectView):
    abstract = True
    reads = RegisteredModel
    permission = Permission.MODEL_REGISTER

    def model(self, name: str) -> RegisteredModel:
        """Return the model of the address."""
        rows = self.rows().in_project(self.project).select_related("project", "owner", "created_by")
        found: RegisteredModel = self.find(rows, name=name)
        return found


class ModelEdit(_OneModel):
    """Owner, purpose, risk class, uses it is not made for."""

    reads = RegisteredModel
    permission = Permission.MODEL_REGISTER

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the form with what is stored, and the newest edits."""
        model = self.model(name)
        return self._show(request, model, self._form(initial=_initial(model)))

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        """Keep it, or show what is wrong; another person's edit is not overwritten."""
        model = self.model(name)
        form = self._form(request.POST)
        act = lambda: model_facts.edit(self.actor, model=model, **form.cleaned_data)  # noqa: E731
        saved = form.attempt(act) if form.is_valid() else None
        if saved is None:
            return self._show(request, model, form, status=422)
        messages.success(request, f"{saved.name} is saved.")
        return see(model_address(saved))

    def _form(self, *args: Any, **kwargs: Any) -> ModelFactsForm:
        people = model_facts.members(self.actor, project=self.project)
        return ModelFactsForm(*args, members=[person.username for person in people], **kwargs)

    def _show(
        self, request: HttpRequest, model: RegisteredModel, form: ModelFactsForm, *, status: int = 200
    ) -> HttpResponse:
        history = [
            (event, [(model_facts.LABELS.get(key, key), change) for key, change in event.data["changes"].items()])
            for event in model_facts.history(self.actor, model=model)
        ]
        context = {"model": model, "form": form, "history": history, "back": model_address(model)}
        return render(request, "deployments/model_edit.html", context, status=status)


class ModelTags(_OneModel):
    """One tag set or taken off."""

    reads = RegisteredModel
    permission = Permission.MODEL_REGISTER

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        """Set the tag of the form; its button may ask to take it off instead."""
        model = self.model(name)
        key, value = request.POST.get("key", "").strip(), request.POST.get("value", "").strip()
        gone = request.POST.get("do") == "remove"
        try:
            model_facts.edit(self.actor, model=model, tags={key: None if gone else value})
        except DomainError as error:
            if error.status not in (400, 409, 422):
                raise
            messages.error(request, f"Nothing was changed. {error.message}")
        else:
            messages.success(request, f"The tag {key} is {'gone' if gone else 'set'}.")
        return see(f"{model_address(model)}#tg-h")


def _initial(model: RegisteredModel) -> dict[str, Any]:
    kept = {name: getattr(model, name) for name in (*model_facts.FIELDS, "revision")}
    return kept | {"owner": model.owner.username if model.owner else ""}
