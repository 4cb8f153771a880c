"""Forms that look and speak like the rest of the interface."""

from collections.abc import Callable
from typing import Any, TypeVar

from django import forms

from mlportal.lib.errors import DomainError

T = TypeVar("T")
MENDABLE = (400, 409, 413, 415, 422, 429)
_CLASSES = {"select": "sel", "checkbox": "", "radio": "", "file": "in", "hidden": ""}


class Form(forms.Form):
    """Plain form whose widgets carry the classes of ``components.css``.

    Django adds ``aria-invalid`` and ``aria-describedby`` itself; the ids are those of ``components/field.html``.
    """

    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            widget = field.widget
            kind = "select" if isinstance(widget, forms.Select) else getattr(widget, "input_type", "")
            added = "" if isinstance(widget, forms.RadioSelect) else _CLASSES.get(kind, "in")
            widget.attrs["class"] = f"{added} {widget.attrs.get('class', '')}".strip()
            if not widget.attrs["class"]:
                del widget.attrs["class"]

    def refuse(self, error: DomainError) -> None:
        """Show a service's refusal at the field it names, or above the form."""
        for fault in error.errors or [{"field": error.field, "message": error.message}]:
            name = fault["field"] if fault["field"] in self.fields else None
            self.add_error(name, fault["message"])

    def attempt(self, action: Callable[[], T]) -> T | None:
        """Do what the valid form asks for; a refusal that the person can mend is shown in the form.

        Returns
        -------
        T or None
            ``None`` when the form was refused and is to be shown again with status 422.
        """
        try:
            return action()
        except DomainError as error:
            if error.status not in MENDABLE:
                raise
            self.refuse(error)
            return None
