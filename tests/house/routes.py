"""Every route of the portal with its methods, read from the URL table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Route:
    """One address pattern and one method."""

    method: str
    pattern: str

    def __str__(self) -> str:
        return f"{self.method} {self.pattern}"

    @property
    def is_api(self) -> bool:
        return self.pattern.removeprefix("p/<slug:project>/").startswith("api/")

    def address(self, values: dict[str, str]) -> str:
        """The address with each variable filled by the word that stands before it.

        ``datasets/<str:name>/v/<int:number>/`` asks for ``values["datasets"]`` and ``values["v"]``.
        """
        done: list[str] = []
        for segment in self.pattern.split("/"):
            variable = re.fullmatch(r"<(?:\w+:)?(\w+)>", segment)
            if variable is None:
                done.append(segment)
                continue
            before = next((word for word in reversed(self.pattern.split("/")[: len(done)]) if "<" not in word), "")
            for key in (f"{before}/{variable[1]}", before, variable[1]):
                if key in values:
                    done.append(values[key])
                    break
            else:
                raise KeyError(f"{self.pattern}: give the world a value for {before}/{variable[1]}")
        return "/" + "/".join(done)


def routes() -> list[Route]:
    """All of them, sorted by pattern and method."""
    found = {Route(method, pattern) for pattern, view in _views(get_resolver(), "") for method in _methods(view)}
    return sorted(found, key=lambda route: (route.pattern, METHODS.index(route.method)))


def _views(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, object]]:
    for entry in resolver.url_patterns:
        pattern = prefix + _plain(str(entry.pattern))
        if isinstance(entry, URLPattern):
            yield pattern, entry.callback
        else:
            yield from _views(entry, pattern)


def _plain(pattern: str) -> str:
    """A regular expression in the words of the other patterns, its first choice taken."""
    if not pattern.startswith("^"):
        return pattern
    text = re.sub(r"\(\?P<\w+>(\w+)\|[^)]*\)", r"\1", pattern.removeprefix("^").removesuffix("$"))
    return re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", text).replace("\\.", ".")


def _methods(view: object) -> list[str]:
    declared = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if declared is None:
        return list(getattr(view, "methods", ["GET"]))
    taken = declared.http_method_names
    return [method for method in METHODS if hasattr(declared, method.lower()) and method.lower() in taken]
