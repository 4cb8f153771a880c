"""Template tags that every page may use without loading them.

``templates/components/README.md`` shows each one in use.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from django import template
from django.contrib.staticfiles.storage import staticfiles_storage
from django.middleware.csrf import get_token
from django.template.base import NodeList, Parser, Token, token_kwargs
from django.template.context import Context
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mlportal.lib import markdown as prose
from mlportal.lib import quantities
from mlportal.lib.assets import SCRIPT, STYLE_PARTS, STYLES
from mlportal.lib.quantities import MISSING, number_of, span

register = template.Library()

# word of a state -> (icon, colour); the word itself is always printed beside the icon
STATES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ["succeeded", "finished", "ready", "approved", "passed", "pass", "ok", "healthy", "live", "active",
         "delivered", "resolved", "verified", "stable", "done", "promoted"], ("circle-check", "ok"),
    ),
    **dict.fromkeys(["running", "starting", "stopping", "evaluating", "sending", "profiling", "loading",
                     "validating", "canary", "shadow"],
                    ("loader-2", "info")),
    **dict.fromkeys(["queued", "pending", "scheduled", "new", "draft", "unknown", "skipped", "no data"],
                    ("circle-dashed", "")),
    **dict.fromkeys(["warning", "waiting", "advisory", "changes", "high", "medium", "drifting", "retrying",
                     "changes requested", "acknowledged", "review", "expiring", "paused"], ("alert-triangle", "warn")),
    **dict.fromkeys(["failed", "error", "rejected", "blocked", "critical", "firing", "refused", "altered", "fail",
                     "suspended", "breached", "break-glass", "aborted"],
                    ("circle-x", "bad")),
    **dict.fromkeys(["cancelled", "stopped", "withdrawn", "disabled", "inactive", "revoked", "expired",
                     "superseded", "archived", "retired", "off", "lapsed", "stale", "ended"], ("player-stop", "")),
    **dict.fromkeys(["silenced", "snoozed"], ("bell-off", "")),
    **dict.fromkeys(["low", "info"], ("info-circle", "info")),
}  # fmt: skip


class Person(Protocol):
    """What :func:`avatar` needs to know about somebody."""

    pk: int
    initials: str


# ---------------------------------------------------------------- icons, states, people


@register.simple_tag
def icon(name: str, size: str = "") -> SafeString:
    """One icon of the sprite, hidden from screen readers: ``{% icon "box" %}``, ``{% icon "box" "lg" %}``."""
    classes = f"i {size}".strip()
    source = f"{static('vendor/icons.svg')}#{name}"
    return format_html('<svg class="{}" aria-hidden="true"><use href="{}"/></svg>', classes, source)


@register.simple_tag
def state(value: object, word: str = "", *, pill: bool = False) -> SafeString:
    """A state as icon, word and colour: ``{% state job.state %}``, ``{% state "ok" "24 of 24 checks" pill=True %}``."""
    key = str(value).replace("_", " ").lower()
    name, colour = STATES.get(key, ("circle", ""))
    spin = "spin" if name == "loader-2" else ""
    classes = " ".join(part for part in ("st", colour, "pill" if pill else "") if part)
    return format_html('<span class="{}">{}{}</span>', classes, icon(name, spin), word or key)


@register.simple_tag
def avatar(person: Person | None, size: str = "sm", name: str = "") -> SafeString:
    """Initials in a circle, with the name for screen readers; a system actor without a person gets a cog."""
    if person is None:
        return format_html(
            '<span class="avatar {}" aria-hidden="true">{}</span><span class="vh">{}</span>',
            size, icon("settings", "sm"), name or "The portal",
        )  # fmt: skip
    return format_html('{}<span class="vh">{}</span>', initials(person, size), name or str(person))


def initials(person: Person, size: str = "sm") -> SafeString:
    """Initials in a circle, beside the name."""
    shade = f"a{int(person.pk) % 5}"
    return format_html('<span class="avatar {} {}" aria-hidden="true">{}</span>', size, shade, person.initials)


# ---------------------------------------------------------------- numbers, texts and times

for _write in (quantities.num, quantities.metric, quantities.percent, quantities.signed, quantities.filesize,
               quantities.duration):  # fmt: skip
    register.filter(_write)


@register.filter
def markdown(value: object, first_level: int = prose.FIRST_LEVEL) -> SafeString:
    """Markdown as safe HTML, its headings from a level on: raw HTML stays text, nothing is loaded from elsewhere."""
    return prose.render(str(value or ""), first_level)


@register.filter
def excerpt(value: object, length: int = 120) -> str:
    """The first words of a Markdown text, without its marks."""
    return prose.excerpt(str(value or ""), length)


@register.filter
def inside_a_sentence(value: object) -> str:
    """Begin a title with a small letter, unless its first word is an abbreviation such as ROC."""
    text = str(value)
    return text if text[:2].isupper() else f"{text[:1].lower()}{text[1:]}"


def _time(value: object, now: datetime | None, *, words: bool) -> SafeString | str:
    if not isinstance(value, datetime):
        return MISSING
    moment = timezone.localtime(value)
    seconds = ((now or timezone.now()) - value).total_seconds()
    text = span(abs(seconds), ahead=seconds < 0)
    if abs(seconds) >= 30 * 86400:
        text = f"{moment:%-d %b %Y}"
    elif not text:
        text = "now"
    elif seconds < 0:
        text = f"in {text}"
    elif words:
        text = f"{text} ago"
    full = f"{moment:%-d %B %Y, %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(timespec="seconds"), full, text)


@register.filter
def ago(value: object, now: datetime | None = None) -> SafeString | str:
    """A moment for sentences: ``9 min ago``, ``in 3 d``, a date past 30 days; the full time on hover."""
    return _time(value, now, words=True)


@register.filter
def age(value: object, now: datetime | None = None) -> SafeString | str:
    """The same for narrow columns, without the word "ago"."""
    return _time(value, now, words=False)


@register.filter
def utc(value: object) -> SafeString | str:
    """A moment in full in UTC, for the audit log: ``2026-11-20 12:10:04``."""
    if not isinstance(value, datetime):
        return MISSING
    text = f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return format_html('<time datetime="{}Z">{}</time>', text.replace(" ", "T"), text)


# ---------------------------------------------------------------- small graphics


@register.simple_tag
def spark(values: Sequence[float | None] | None, width: int = 84, height: int = 18, limit: float | None = None,
          classes: str = "") -> SafeString:  # fmt: skip
    """A line of at most 24 points drawn on the server; ``limit`` adds a dashed threshold.

    Fewer than two finite values draw nothing.
    """
    points = [number for number in map(number_of, values or []) if number is not None]
    if len(points) < 2:
        return SafeString("")
    if len(points) > 24:
        points = [points[round(i * (len(points) - 1) / 23)] for i in range(24)]
    known = [*points, limit] if limit is not None else points
    low, span = min(known), (max(known) - min(known)) or 1.0
    xs = [1 + i * (width - 4) / (len(points) - 1) for i in range(len(points))]
    ys = [2 + (height - 4) * (1 - (value - low) / span) for value in points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))
    line = ""
    if limit is not None:
        at = 2 + (height - 4) * (1 - (limit - low) / span)
        line = format_html('<path class="lim" d="M1 {}H{}"/>', f"{at:.1f}", width - 3)
    return format_html(
        '<svg class="spark {}" viewBox="0 0 {} {}" width="{}" height="{}" aria-hidden="true">'
        '{}<path class="line" d="{}"/><circle cx="{}" cy="{}" r="2"/></svg>',
        classes, width, height, width, height, line, path, f"{xs[-1]:.1f}", f"{ys[-1]:.1f}",
    )  # fmt: skip


@register.simple_tag
def bar(share: object, colour: str = "", label: str = "") -> SafeString:
    """A horizontal bar for a share from 0 to 1: ``{% bar 0.62 "warn" %}``."""
    number = min(1.0, max(0.0, number_of(share) or 0.0))
    words = format_html('role="img" aria-label="{}"', label) if label else SafeString('aria-hidden="true"')
    return format_html(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" {}>'
        '<rect class="{}" width="{}" height="8"/></svg>',
        words, colour, f"{number * 100:.1f}",
    )  # fmt: skip


# ---------------------------------------------------------------- page parts


@register.filter
def split_hint(label: object) -> tuple[str, str]:
    """``"read: see everything"`` as the name and the hint of a choice."""
    name, _, hint = str(label).partition(": ")
    return name, hint


@register.simple_tag(takes_context=True)
def csrf_headers(context: Context) -> SafeString:
    """The ``hx-headers`` value of ``<body>``: htmx sends the CSRF token with each unsafe request."""
    token = get_token(context["request"])
    return format_html("{}", json.dumps({"X-CSRFToken": token}))


@register.simple_tag
def asset_head() -> SafeString:
    """Style sheets and, once they were collected, the modules of every page; goes into ``head``."""
    if not getattr(staticfiles_storage, "is_collected", False):
        return format_html_join("", '<link rel="stylesheet" href="{}">', ((static(name),) for name in STYLE_PARTS))
    both = (static(STYLES), static(SCRIPT))
    return format_html('<link rel="stylesheet" href="{}"><script type="module" src="{}"></script>', *both)


@register.simple_tag
def module(*names: str) -> SafeString:
    """Ask for modules of ``static/js``: by name from the one file of all, before collecting each by itself."""
    if getattr(staticfiles_storage, "is_collected", False):
        return format_html_join("", '<template data-module="{}"></template>', ((name,) for name in names))
    script = '<script type="module" src="{}"></script>'
    return format_html_join("", script, ((static(f"js/{name}.js"),) for name in names))


@register.simple_tag
def asset_chart_head() -> SafeString:
    """What a page with charts puts into its ``head`` block: Plotly's rules as a file, and where Plotly is."""
    return format_html(
        '<link rel="stylesheet" id="plotly.js-style-global" class="no-inline-styles" href="{}">'
        '<meta name="plotly-source" content="{}">',
        static("css/plotly.css"), static("vendor/plotly-cartesian.min.js"),
    )  # fmt: skip


@register.inclusion_tag("components/nav_item.html", takes_context=True)
def nav_item(
    context: Context, path: str, icon_name: str, label: str, *, badge: str = "", also: str = ""
) -> dict[str, Any]:
    """One line of the side bar; current when the address lies below ``path`` or one of ``also`` (spaces between)."""
    project = context.get("project")
    root = f"/p/{project.slug}/" if project is not None and not path.startswith("/") else ""
    here = context["request"].path
    ours = [root + part for part in [path, *also.split()]]
    exact = path in ("", "/")
    current = here == ours[0] if exact else any(here.startswith(part) for part in ours)
    return {"href": root + path, "icon": icon_name, "label": label, "badge": badge, "current": current}


@register.simple_tag(takes_context=True)
def query_with(context: Context, **changes: object) -> str:
    """The query string of this page with some values changed; ``None`` or ``""`` removes one."""
    query = context["request"].GET.copy()
    for key, value in changes.items():
        if value in (None, ""):
            query.pop(key, None)
        else:
            query[key] = str(value)
    return f"?{query.urlencode()}" if query else "?"


_SHELL = ("request", "csrf_token", "project", "can")  # all that a component sees besides its props


@register.simple_tag(takes_context=True)
def keep_query(context: Context, skip: str = "") -> SafeString:
    """Hidden fields that carry this page's query values through a GET form, but those named in ``skip``."""
    left_out = {*skip.split(), "cursor", "before"}
    kept = [(key, value) for key, values in context["request"].GET.lists() if key not in left_out for value in values]
    return format_html_join("", '<input type="hidden" name="{}" value="{}">', kept)


class _Slot(template.Node):
    def __init__(self, name: str, nodes: NodeList) -> None:
        self.name, self.nodes = name, nodes

    def render(self, context: Context) -> SafeString:
        """A slot prints nothing where it stands; its component prints it."""
        return SafeString("")


class _Component(template.Node):
    def __init__(self, name: str, props: dict[str, Any], nodes: NodeList) -> None:
        self.name, self.props, self.nodes = name, props, nodes

    def render(self, context: Context) -> SafeString:
        """Render the component's file with the props, each slot, and the rest as ``body``."""
        given = {key: value.resolve(context) for key, value in self.props.items()}
        for slot in self.nodes:
            if isinstance(slot, _Slot):
                given[slot.name] = SafeString(slot.nodes.render(context).strip())
        given["body"] = self.nodes.render(context)
        engine = context.template.engine  # type: ignore[union-attr]
        found = engine.get_template(f"components/{self.name}.html")
        for name in _SHELL:
            given.setdefault(name, context.get(name))
        return found.render(context.new(given))


@register.tag("component")
def component(parser: Parser, token: Token) -> _Component:
    """``{% component "card" heading="Members" %}{% slot "actions" %}…{% endslot %}…{% endcomponent %}``."""
    _tag, name, *rest = token.split_contents()
    props = token_kwargs(rest, parser)
    if rest:
        raise template.TemplateSyntaxError(f"component {name}: props are written name=value, not {rest[0]!r}")
    nodes = parser.parse(("endcomponent",))
    parser.delete_first_token()
    return _Component(name.strip("\"'"), props, nodes)


@register.tag("slot")
def slot(parser: Parser, token: Token) -> _Slot:
    """A named part inside ``{% component %}``."""
    _tag, name = token.split_contents()
    nodes = parser.parse(("endslot",))
    parser.delete_first_token()
    return _Slot(name.strip("\"'"), nodes)
