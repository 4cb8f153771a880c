"""Copy the pinned third-party files of package.json into the repository.

Run ``make vendor`` (needs npm). Each copied file is listed in a ``MANIFEST.json``
beside it with its package, version, licence and sha256; licence texts go to
``licenses/``. Everything is committed, so that users need neither node nor npm.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MODULES = HERE / "node_modules"
STATIC = ROOT / "static" / "vendor"
E2E = ROOT / "tests" / "e2e" / "vendor"
FONTS = ROOT / "mlportal" / "lib" / "fonts"  # of PDF files; no page asks for them


@dataclass(frozen=True)
class Copy:
    """One file to take from a package."""

    package: str
    source: str
    name: str
    target: Path = STATIC
    first: str = ""  # a line of ours before its text


# The browser compiles all of it while it comes, beside the page, and not each function when it is first called: a third
# of the time that charts cost the page. Browsers that do not know this line read a remark.
AT_ONCE = "//# allFunctionsCalledOnLoad\n"
COPIES = [
    Copy("htmx.org", "dist/htmx.min.js", "htmx.min.js"),
    Copy("idiomorph", "dist/idiomorph-ext.min.js", "idiomorph-ext.min.js"),
    Copy("htmx-ext-sse", "sse.js", "htmx-sse.js"),
    Copy("plotly.js-cartesian-dist-min", "plotly-cartesian.min.js", "plotly-cartesian.min.js", first=AT_ONCE),
    Copy("@fontsource-variable/inter", "files/inter-latin-wght-normal.woff2", "inter-latin.woff2"),
    Copy(
        "@fontsource-variable/inter",
        "files/inter-latin-ext-wght-normal.woff2",
        "inter-latin-ext.woff2",
    ),
    Copy("axe-core", "axe.min.js", "axe.min.js", E2E),
    Copy("dejavu-fonts-ttf", "ttf/DejaVuSans.ttf", "dejavu-sans.ttf", FONTS),
    Copy("dejavu-fonts-ttf", "ttf/DejaVuSans-Bold.ttf", "dejavu-sans-bold.ttf", FONTS),
    *(
        Copy(
            f"@fontsource/noto-sans-{code}",
            f"files/noto-sans-{code}-{word}-400-normal.woff2",
            f"noto-sans-{code}.woff2",
            FONTS,
        )
        for code, word in (("sc", "chinese-simplified"), ("jp", "japanese"), ("kr", "korean"))
    ),
]
# What the licence files say where package.json names no licence.
LICENCE = {"htmx-ext-sse": "0BSD", "dejavu-fonts-ttf": "Bitstream-Vera"}


def sprite(names: list[str]) -> str:
    """Return one SVG with a ``<symbol>`` for each icon name."""
    symbols = [symbol(name) for name in names]
    return '<svg xmlns="http://www.w3.org/2000/svg">' + "".join(symbols) + "</svg>\n"


def symbol(name: str) -> str:
    """Return the ``<symbol>`` of one outline icon of 24 by 24 units."""
    path = MODULES / "@tabler/icons/icons/outline" / f"{name}.svg"
    if not path.is_file():
        sys.exit(f"icons.txt: no icon is called {name!r}")
    body = re.sub(r"<!--.*?-->", "", path.read_text(), flags=re.DOTALL)
    shapes = re.findall(r"<(?!svg|/svg)[^>]+>", body)
    kept = "".join(shape for shape in shapes if "M0 0h24v24H0z" not in shape)
    return (
        f'<symbol id="{name}" viewBox="0 0 24 24" fill="none" stroke="currentColor"'
        f' stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">{kept}</symbol>'
    )


def licence_text(package: str) -> str:
    """Return the licence text of a package."""
    found = sorted((MODULES / package).glob("LICEN[CS]E*"))
    if not found:
        sys.exit(f"{package} has no licence file")
    return found[0].read_text()


def row(package: str, file: Path) -> dict[str, str]:
    """Return the manifest row of one copied file, and store its licence text."""
    about = json.loads((MODULES / package / "package.json").read_text())
    licences = file.parent / "licenses"
    licences.mkdir(exist_ok=True)
    text = licences / (package.strip("@").replace("/", "-") + ".txt")
    text.write_text(licence_text(package))
    return {
        "file": file.name,
        "name": package,
        "version": about["version"],
        "licence": LICENCE.get(package) or about["license"],
        "licence_file": f"licenses/{text.name}",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }


def main() -> None:
    """Install the locked packages, copy the files, write the manifests."""
    # npm is found on PATH on purpose: this is a developer's command.
    subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=HERE, check=True)
    rows: dict[Path, list[dict[str, str]]] = {STATIC: [], E2E: [], FONTS: []}
    for target in rows:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
    for copy in COPIES:
        file = copy.target / copy.name
        file.write_bytes(copy.first.encode() + (MODULES / copy.package / copy.source).read_bytes())
        rows[copy.target].append(row(copy.package, file))
    icons = STATIC / "icons.svg"
    icons.write_text(sprite((HERE / "icons.txt").read_text().split()))
    rows[STATIC].append(row("@tabler/icons", icons))
    for target, files in rows.items():
        (target / "MANIFEST.json").write_text(json.dumps(files, indent=2) + "\n")
        print(f"{target.relative_to(ROOT)}: {len(files)} files")


if __name__ == "__main__":
    main()
