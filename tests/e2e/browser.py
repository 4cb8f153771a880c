"""A person at a browser: signs in, looks, and notices every error, violation and barrier."""

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SHOTS = os.environ.get("MLPORTAL_SHOTS", "")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
TELL_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', (e) =>
  console.error(`CSP ${e.violatedDirective} blocked ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
document.addEventListener('htmx:evalDisallowedError', () => console.error('htmx wanted eval'));
"""
SETTLED = """async () => {
  const frames = (n) => new Promise((done) => {
    const next = () => (n-- ? requestAnimationFrame(next) : done());
    next();
  });
  await frames(3);
  const ending = document.getAnimations().filter((a) => Number.isFinite(a.effect.getComputedTiming().endTime));
  await Promise.all(ending.map((a) => a.finished.catch(() => 0)));
  await frames(2);
}"""
OPENABLE = "() => [...document.querySelectorAll('#content [popover][id], #content dialog[id]')].map((each) => each.id)"
OPEN = """(id) => {
  const box = document.getElementById(id);
  if (box.matches('dialog')) box.showModal(); else box.showPopover();
}"""
CLOSE = """(id) => {
  const box = document.getElementById(id);
  if (box?.matches('dialog')) box.close(); else box?.hidePopover();
}"""
# Sizes are not judged: what lies half below the fold of a long menu has not its whole size.
JUDGE = """([id, tags]) => axe.run({include: [['#' + CSS.escape(id)]]},
  {runOnly: {type: 'tag', values: tags}, rules: {'target-size': {enabled: false}}, resultTypes: ['violations']})
  .then((r) => r.violations.map((v) => v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.target.join(' ')).join(' | ')))"""
SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
# Each width and each theme once, since a look takes a second; who wants pictures gets both themes in both widths.
VIEWS = (("desk", "light"), ("phone", "dark"))
PICTURED = (("desk", "dark"), ("phone", "light"))
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def launch(playwright: Playwright) -> Browser:
    """Start the system's Chromium."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


def until(page: Page, truth: str, *, seconds: float = 60) -> None:
    """Wait for a JavaScript expression: Playwright's own waiting evaluates text in the page, which our policy bars."""
    end = time.monotonic() + seconds
    while not page.evaluate(truth):
        assert time.monotonic() < end, f"{page.url}: not within {seconds} s: {truth}"
        page.wait_for_timeout(50)


class Person:
    """One signed-in browser window."""

    def __init__(self, browser: Browser, url: str, *, size: str = "desk", theme: str = "light") -> None:
        self.url = url
        self.context = browser.new_context(viewport=SIZES[size], color_scheme=theme, reduced_motion="reduce")
        self.context.set_default_timeout(60_000)  # other work may share the machine
        self.context.add_init_script(TELL_VIOLATIONS)
        self.page: Page = self.context.new_page()
        self.trouble: list[str] = []
        self.expected: set[int] = set()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.trouble.append(f"{self.page.url}: {error}"))
        self.page.on("response", self._response)

    def _console(self, message) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.trouble.append(f"{self.page.url}: {message.text}")

    def _response(self, response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.trouble.append(f"{response.request.method} {response.url} answered {response.status}")

    def sign_in(self, name: str, password: str) -> None:
        """Sign in through the page."""
        self.go("/sign-in/")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "sign-in" not in url)

    def go(self, path: str) -> None:
        """Open an address of the portal."""
        self.page.goto(f"{self.url}{path}")

    def set_theme(self, theme: str) -> None:
        """Ask for the light or dark theme."""
        self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        self.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        self.page.evaluate(SETTLED)  # colours change over 120 ms; what is judged is where they end

    def look(self, name: str) -> None:
        """Check the page as it is in both widths and both themes, with axe and the eye of a screenshot."""
        for size, theme in VIEWS:
            self.view(f"{name} {size} {theme}", size=size, theme=theme)
        for size, theme in PICTURED if SHOTS else ():
            self.view(f"{name} {size} {theme}", size=size, theme=theme, has_axe=False)
        self.page.set_viewport_size(SIZES["desk"])
        self.set_theme("light")

    def view(self, where: str, *, size: str, theme: str, has_axe: bool = True) -> None:
        """Check the page as it is in one width and one theme."""
        self.page.set_viewport_size(SIZES[size])
        self.page.evaluate("scrollTo(0, 0)")  # what lies half below the sticky bar has not its whole size
        self.set_theme(theme)
        self._no_sideways(where)
        if has_axe:
            self._axe(where)
        if SHOTS:
            name = re.sub(r"[^a-z0-9]+", "-", where.lower()).strip("-")
            self.page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)

    def until(self, truth: str, *, seconds: float = 60) -> None:
        """Wait for a JavaScript expression on this page."""
        until(self.page, truth, seconds=seconds)

    def _no_sideways(self, where: str) -> None:
        over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        with contextlib.suppress(AssertionError):  # charts follow a new width a moment later
            self.until(f"{over} <= 0", seconds=3)
        if (wide := self.page.evaluate(over)) > 0:
            self.trouble.append(f"{where}: the page scrolls sideways by {wide} px")

    def _axe(self, where: str) -> None:
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        for _ in range(3):  # a page that is being renewed has not ended yet: what stays is judged
            if not (found := self._barriers()):
                return
            self.page.wait_for_timeout(400)
            self.page.evaluate(SETTLED)
        self.trouble += [f"{where}: axe {each}" for each in found]

    def open_all(self, where: str, seen: set[str]) -> None:
        """Open each menu and dialog of the page that was not seen yet, and check it with axe."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        for name in self.page.evaluate(OPENABLE):
            kind = re.sub(r"\d+", "", name)
            if kind in seen:
                continue
            seen.add(kind)
            self.page.evaluate(OPEN, name)
            self.page.evaluate(SETTLED)
            self.trouble += [f"{where} #{name}: axe {each}" for each in self.page.evaluate(JUDGE, [name, AXE_TAGS])]
            self.page.evaluate(CLOSE, name)

    def _barriers(self) -> list[str]:
        # the rows of a long table are alike, and judging hundreds of them takes minutes
        return self.page.evaluate(
            "tags => axe.run({exclude: [['tbody tr:nth-of-type(n+12)']]},"
            " {runOnly: {type: 'tag', values: tags}, preload: false, resultTypes: ['violations']})"
            ".then(r => r.violations.map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.target.join(' ') + ' ' +"
            " n.any.concat(n.all, n.none).map(c => c.message).join('; ').slice(0, 160)).join(' | ')))",
            AXE_TAGS,
        )

    def close(self) -> None:
        """Close the window."""
        self.context.close()
