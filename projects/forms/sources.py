"""Forms of stored connections and of imports. They only parse; the services check."""

from typing import Any

from django import forms

from mlportal.lib.forms import Form
from projects.forms.datasets import DELIMITERS, ENCODINGS
from projects.services.connections import TLS_MODES


class _Import(Form):
    name = forms.CharField(
        label="Dataset", max_length=100, help_text="Letters, digits, '.', '_' and '-'. An existing name gets a version."
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, connections: list[str], roots: list[str], **kwargs: Any) -> None:
        for field, offered in (("connection", connections), ("root", roots)):
            if field in self.base_fields:
                self.base_fields[field].choices = [(each, each) for each in offered]  # type: ignore[attr-defined]
        super().__init__(*args, **kwargs)

    def values(self) -> dict[str, Any]:
        """Plain values for the service."""
        given = dict(self.cleaned_data)
        common: dict[str, Any] = {key: given.pop(key) for key in ("name", "description", "connection") if key in given}
        return {**common, "spec": {key: value for key, value in given.items() if value}}


class _Text(_Import):
    delimiter = forms.ChoiceField(choices=DELIMITERS, required=False)
    encoding = forms.ChoiceField(choices=ENCODINGS, required=False)

    def clean_delimiter(self) -> str:
        """Keep a tab, which is not blank here."""
        return str(self.data.get("delimiter", ""))


class UrlImport(_Text):
    """A file at an address."""

    url = forms.CharField(
        label="Address", max_length=2000, help_text="http or https of a public host. CSV, CSV in gzip, or Parquet."
    )
    field_order = ("name", "url", "description", "delimiter", "encoding")


class S3Import(_Text):
    """An object in a store."""

    connection = forms.ChoiceField()
    bucket = forms.CharField(max_length=63)
    key = forms.CharField(max_length=1024, help_text="Such as exports/2026/churn.parquet.")
    field_order = ("name", "connection", "bucket", "key", "description", "delimiter", "encoding")


class PostgresImport(_Import):
    """Rows of a query."""

    connection = forms.ChoiceField()
    query = forms.CharField(
        max_length=20_000, widget=forms.Textarea(attrs={"rows": 8, "class": "mono", "spellcheck": "false"}),
        help_text="One SELECT, in a transaction that can only read. With ORDER BY the same rows give the same version.",
    )  # fmt: skip
    field_order = ("name", "connection", "query", "description")


class FolderImport(_Import):
    """Parquet files that stay where they are."""

    root = forms.ChoiceField(label="Data root", help_text="Named by the site administrator.")
    folder = forms.CharField(max_length=1000, help_text="Below the root, such as sales/2026. Links are not followed.")
    field_order = ("name", "root", "folder", "description")


IMPORTS: dict[str, type[_Import]] = {
    "url": UrlImport,
    "s3": S3Import,
    "postgres": PostgresImport,
    "folder": FolderImport,
}


class _Connection(Form):
    name = forms.CharField(max_length=100)
    secret = forms.CharField(
        required=False, max_length=1000, strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip

    def __init__(self, *args: Any, stored: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if stored:
            del self.fields["name"]
            self.fields["secret"].help_text = "Left empty, the stored one stays. It is never shown."

    def values(self) -> dict[str, Any]:
        """Plain values for the service."""
        given = dict(self.cleaned_data)
        words: dict[str, Any] = {key: given.pop(key) for key in ("name", "secret") if key in given}
        return {**words, "facts": given}


class PostgresConnection(_Connection):
    """A PostgreSQL database."""

    host = forms.CharField(max_length=253)
    port = forms.IntegerField(initial=5432, min_value=1, max_value=65_535)
    database = forms.CharField(max_length=200)
    user = forms.CharField(max_length=200, help_text="A role that can only read is best.")
    sslmode = forms.ChoiceField(label="TLS", choices=[(mode, mode) for mode in TLS_MODES])
    field_order = ("name", "host", "port", "database", "user", "secret", "sslmode")


class S3Connection(_Connection):
    """An S3 store."""

    endpoint = forms.CharField(max_length=2000, required=False, help_text="Empty for Amazon's own.")
    region = forms.CharField(max_length=200, initial="us-east-1")
    access_key = forms.CharField(label="Access key id", max_length=200)
    field_order = ("name", "endpoint", "region", "access_key", "secret")


CONNECTIONS: dict[str, type[_Connection]] = {"postgres": PostgresConnection, "s3": S3Connection}
