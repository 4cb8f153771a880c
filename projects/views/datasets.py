"""Pages of datasets: the list, one dataset, one version, upload."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from mlportal.lib import addresses, names
from mlportal.lib.errors import Conflict, DomainError, Invalid
from projects.access import ProjectView
from projects.forms.datasets import DatasetUpload, SampleChoice
from projects.forms.uploads import StoredUpload, TableUploadHandler
from projects.models import Dataset, DatasetVersion
from projects.models.datasets import MOST_WORDS
from projects.permissions import Permission
from projects.services import dataset_listing, datasets
from projects.views import dataset_context
from projects.views.dataset_files import download

PAGE_ROWS = 100
FILTER_FIELDS = ("tag", "owner", "column", "source", "checks", "is")


def version_url(version: DatasetVersion) -> str:
    """Address of a version's page."""
    dataset = version.dataset
    return reverse("projects:dataset-version", args=[dataset.project.slug, dataset.name, version.number])


class DatasetList(ProjectView):
    """The project's datasets by name, with what their newest version holds."""

    reads = Dataset
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest) -> HttpResponse:
        """One page; ``q`` filters, ``sort`` orders by a column, ``after`` continues."""
        query = request.GET.get("q", "").strip()[:200]
        sort = request.GET.get("sort") or "name"
        wrong = addresses.order_fault(sort, dataset_listing.SORTS)
        sort = "name" if wrong else sort
        wrong += _filter_faults(query)
        page = dataset_listing.listed(
            self.actor, project=self.project, query=query, sort=sort, after=request.GET.get("after", "")
        )
        context = dataset_context.listing(self.actor, self.project, page.rows) | {
            "query": query, "after": page.after, "hidden": page.hidden, "heads": _heads(sort),
            "address_faults": wrong, "sort": sort,
            "sort_words": dataset_listing.SORTS[sort.removeprefix("-")],
            "narrowed": bool(query or request.GET.get("after")),
        }  # fmt: skip
        return render(request, "projects/datasets.html", context)


def _filter_faults(query: str) -> list[str]:
    """Words of a filter that look like a condition and are none: they are looked for as text."""
    found = []
    for word in query.split():
        key, colon, value = word.partition(":")
        if not colon or not value or not key.isalpha() or value.startswith("//"):
            continue
        if key == "checks" and value not in dataset_listing.CHECK_RANK:
            states = ", ".join(dataset_listing.CHECK_RANK)
            found.append(f"q: checks: is one of {states}; not {value[:40]!r}.")
        elif key not in FILTER_FIELDS or (key == "is" and value != "starred"):
            fields = ", ".join(f"{name}:" for name in FILTER_FIELDS[:-1])
            found.append(f"q: {word[:40]!r} is looked for as text. Fields: {fields}, is:starred.")
    if len(query.split()) > MOST_WORDS:
        found.append(f"q: the first {MOST_WORDS} words are looked for.")
    return found


def _heads(sort: str) -> dict[str, dict[str, str]]:
    """Each sortable column: how it is sorted now, and what the next click asks for."""
    key, down = sort.removeprefix("-"), sort.startswith("-")
    rising = ("name", "checks")  # the others are asked for by their greatest first
    heads = {}
    for name in dataset_listing.SORTS:
        first = name if name in rising else f"-{name}"
        turned = name if down else f"-{name}"
        aria = ("descending" if down else "ascending") if name == key else ""
        heads[name] = {"aria": aria, "next": turned if name == key else first}
    return heads


@method_decorator(csrf_exempt, name="dispatch")
class DatasetNew(ProjectView):
    """Upload a table, or take a bundled sample.

    The check of the CSRF token happens in ``post``, after the upload handler is in place: reading the token
    reads the body.
    """

    reads = Dataset
    permission = Permission.DATASET_CREATE

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the empty form; ``name`` fills in the dataset that gets a new version."""
        form = DatasetUpload(initial={"name": request.GET.get("name", "")[:100]})
        return self._show(request, form)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Take the body with the handler that stores while it arrives."""
        handler = TableUploadHandler(request)
        if request.content_type == "multipart/form-data":  # else there is no file, and the form may have been read
            request.upload_handlers = [handler]
        try:
            return csrf_protect(self._take)(request, handler)
        finally:
            handler.close()

    def _take(self, request: HttpRequest, handler: TableUploadHandler) -> HttpResponse:
        if "sample" in request.POST:
            return self._take_sample(request)
        form = DatasetUpload(request.POST, request.FILES)
        valid = form.is_valid()
        if handler.problem is not None:
            form.errors.pop("file", None)
            form.refuse(handler.problem)
        if valid and handler.problem is None:
            try:
                return self._done(request, self._register(form))
            except DomainError as error:
                form.refuse(error)
        return self._show(request, form, status=422)

    def _register(self, form: DatasetUpload) -> DatasetVersion:
        values = form.cleaned_data
        upload: StoredUpload = values["file"]
        return datasets.register_blob(
            self.actor,
            project=self.project,
            name=values["name"],
            blob=upload.blob,
            file_type=upload.file_type,
            reading=datasets.Reading(upload.name or "data", values["encoding"], values["delimiter"]),
            description=values["description"],
        )

    def _take_sample(self, request: HttpRequest) -> HttpResponse:
        form = SampleChoice(request.POST)
        if not form.is_valid():
            raise Invalid("There is no sample of that name.", field="sample")
        try:
            version = datasets.register_sample(
                self.actor, project=self.project, sample=form.cleaned_data["sample"], name=request.POST.get("name", "")
            )
        except datasets.SameContent as same:
            messages.info(request, same.message)
            version = same.version
        return redirect(version_url(version))

    def _done(self, request: HttpRequest, version: DatasetVersion) -> HttpResponse:
        messages.success(request, f"{version} is stored and is being profiled.")
        if request.headers.get("Accept") == "application/json":
            return JsonResponse({"location": version_url(version)}, status=201)
        response = redirect(version_url(version))
        response.status_code = 303
        return response

    def _show(self, request: HttpRequest, form: DatasetUpload, *, status: int = 200) -> HttpResponse:
        samples = datasets.SAMPLES.values()
        return render(request, "projects/dataset_new.html", {"form": form, "samples": samples}, status=status)


class DatasetDetail(ProjectView):
    """One dataset: its versions, newest first."""

    reads = Dataset
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Versions of the dataset, one page."""
        rows = self.rows().in_project(self.project).select_related("owner", "created_by", "project")
        dataset = self.find(rows, name_key=names.key(name))
        versions = dataset.versions.kept().light().select_related("created_by").order_by("-number")
        if (before := request.GET.get("before", "")).isascii() and before.isdigit():
            versions = versions.filter(number__lt=int(before[:9]))
        found = list(versions[: PAGE_ROWS + 1])
        context = dataset_context.history(self.actor, self.project, dataset, found[:PAGE_ROWS])
        context["before"] = found[PAGE_ROWS - 1].number if len(found) > PAGE_ROWS else ""
        return render(request, "projects/dataset.html", context)


class OneVersion(ProjectView):
    """Loads the version that the address names."""

    abstract = True
    reads = DatasetVersion
    permission = Permission.DATASET_VIEW

    def version(self, name: str, number: int) -> DatasetVersion:
        """The version, with its dataset and who made it."""
        rows = self.rows().in_project(self.project).select_related("dataset__project", "created_by")
        found: DatasetVersion = self.find(rows, dataset__name_key=names.key(name), number=number)
        return found

    def ready(self, name: str, number: int) -> DatasetVersion:
        """The version, when its typed copy exists.

        Raises
        ------
        Conflict
            Otherwise.
        """
        version = self.version(name, number)
        if not version.is_ready:
            raise Conflict(f"{version} has no rows to show: it is {version.get_state_display()}.")
        return version


class DatasetVersionDetail(OneVersion):
    """One version: facts, profile by column, warnings, changes, uses; or how far profiling is."""

    reads = DatasetVersion
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """Show the page."""
        version = self.version(name, number)
        return render(request, "projects/dataset_version.html", dataset_context.detail(self.actor, version))


class DatasetVersionProgress(OneVersion):
    """The progress card alone, for its live page, which reloads itself once when profiling ends."""

    reads = DatasetVersion
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponse:
        """The card; once profiling has ended it says so."""
        version = self.version(name, number)
        return render(request, "projects/_dataset_progress.html", {"version": version})


class DatasetVersionDownload(OneVersion):
    """The uploaded bytes, the typed copy, or a CSV that is safe in a spreadsheet; always as an attachment."""

    reads = DatasetVersion
    permission = Permission.DATASET_VIEW

    def get(self, request: HttpRequest, name: str, number: int) -> HttpResponseBase:
        """Send the file that ``format`` names."""
        return download(self.actor, self.version(name, number), request.GET.get("format", "original"))
