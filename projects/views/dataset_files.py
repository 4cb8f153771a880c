"""Contents of dataset versions as attachments, for pages and the API."""

from typing import Any

from django.http import FileResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from mlportal.lib import blobs
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from projects.actor import Actor
from projects.models import DatasetVersion
from projects.services import grid, marks


def download(by: Actor, version: DatasetVersion, form: str) -> HttpResponseBase:
    """Response with a version's content: ``original``, ``parquet`` or ``csv``.

    Raises
    ------
    Invalid
        For another form.
    Conflict
        When the typed copy does not exist yet, or nothing was copied.
    Forbidden
        For the unchanged file, when columns are marked and the caller may not see their values.
    """
    if form not in ("original", "parquet", "csv"):
        raise Invalid("format is original, parquet or csv.", field="format", got=form[:40])
    stem = f"{version.dataset.name}-v{version.number}"
    hidden = marks.hidden(by, dataset=version.dataset) & {each["name"] for each in version.schema}
    if form == "original":
        if marks.hidden(by, dataset=version.dataset):
            raise Forbidden("Columns are marked as sensitive; the unchanged file is for those with dataset.edit.")
        if not version.sha256:
            raise Conflict(f"{version} is not built yet.", field="format")
        return _attachment(blobs.open_blob(version.sha256), version.filename, "application/octet-stream")
    if not version.is_ready:
        raise Conflict(f"{version} has no typed copy: it is {version.get_state_display()}.", field="format")
    if hidden or not version.parquet_sha256:
        from projects.views.dataset_rows import attachment

        return attachment(version, grid.export(by, version=version, asked=grid.Asked(), form=form), form)
    if form == "parquet":
        opened = blobs.open_blob(version.parquet_sha256)
        return _attachment(opened, f"{stem}.parquet", "application/vnd.apache.parquet")
    from projects.tabular import export

    response = StreamingHttpResponse(
        export.csv_parts(blobs.local_path(version.parquet_sha256)), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="{stem}.csv"'
    return response


def _attachment(opened: Any, filename: str, content_type: str) -> FileResponse:
    return FileResponse(opened, as_attachment=True, filename=filename, content_type=content_type)
