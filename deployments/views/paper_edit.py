"""The page on which people write the texts of a paper: with a preview, and with refusals shown at their field."""

from abc import abstractmethod
from typing import Any, ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from deployments.models import ModelVersion
from deployments.views.answers import see
from deployments.views.papers import MENDABLE, TextForm
from deployments.views.versions import OneVersion
from mlportal.lib.errors import DomainError
from projects.permissions import Permission


class PaperEdit(OneVersion):
    """Base of the editing pages. Declare ``paper`` and say how it is filled, written and addressed."""

    abstract = True
    reads = ModelVersion
    permission = Permission.MODEL_REGISTER
    paper: ClassVar[str]  # what its heading calls it

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        return self._show(request, version, self.form(request, version))

    def post(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        version = self.load(name, number)
        form = self.form(request, version)
        if form.preview:
            return self._show(request, version, form)
        try:
            made = self.write(version, form)
        except DomainError as error:
            if error.status not in MENDABLE:
                raise
            form.refuse(error)
            return self._show(request, version, form, status=409 if error.status == 409 else 422)
        messages.success(request, self.saved(made) if made else "Nothing was changed.")
        return see(self.address(version))

    @abstractmethod
    def form(self, request: HttpRequest, version: ModelVersion) -> TextForm:
        """Return what was sent, else what is written."""

    @abstractmethod
    def write(self, version: ModelVersion, form: TextForm) -> Any:
        """Keep the texts; return what was made, None when nothing changed."""

    @abstractmethod
    def saved(self, made: Any) -> str:
        """Return the sentence that tells so."""

    @abstractmethod
    def address(self, version: ModelVersion) -> str:
        """Return the address of the page that shows the paper."""

    def _show(self, request: HttpRequest, version: ModelVersion, form: TextForm, *, status: int = 200) -> HttpResponse:
        subject = version if form.level == "version" else version.model.name
        words = {
            "version": version, "form": form, "paper_words": self.paper, "back": self.address(version),
            "heading": f"Edit the {self.paper} of {subject}",
        }  # fmt: skip
        return render(request, "deployments/paper_edit.html", words, status=status)
