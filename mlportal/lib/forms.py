"""Forms that look and speak like the rest of the interface."""

from typing import Any

from django import forms

from mlportal.lib.errors import DomainError

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
