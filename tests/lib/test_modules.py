"""Modules in one file: run by node, since what counts is what the script does."""

import subprocess

import pytest
from playwright._impl._driver import compute_driver_executable

from mlportal.lib import assets, modules

NODE = compute_driver_executable()[0]  # the browser tests bring one


def said(sources: dict[str, str], *names: str) -> list[str]:
    """What the modules print when these are asked for."""
    text = modules.bundle(sources, modules.running(names))
    done = subprocess.run([NODE, "--input-type=module"], input=text, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_imports_exports_and_order_are_those_of_the_modules():
    sources = {
        "a": '// a remark\nimport { b, late } from "./deep/b.js";\nconsole.log(b, late());\n',
        "deep/b": 'import "../c.js";\nexport const b = "b";\nexport function late() { return "late"; }\n',
        "c": 'console.log("c");\n',
        "never": 'console.log("never");\n',
    }
    assert said(sources, "a", "a", "c") == ["c", "b", "late"]


def test_modules_that_need_each_other_and_later_ones():
    sources = {
        "a": 'import { two } from "./b.js";\nexport function one() { return 1; }\nconsole.log(two());\n',
        "b": 'import { one } from "./a.js";\nexport function two() { return one() + 1; }\n',
        "d": "export async function open() { return 4; }\n",
        "e": 'import("./d.js").then(({ open }) => open()).then((four) => console.log(four));\n',
    }
    assert said(sources, "a", "e") == ["2", "4"]


def test_all_our_modules_are_whole_in_the_bundle():
    sources = assets.sources()
    text = modules.bundle(sources)
    assert {"behaviour", "charts/charts", "keyboard"} <= set(sources)
    outside = [line for line in text.splitlines() if line.startswith(("import ", "export "))]
    assert outside == []
    done = subprocess.run(
        [NODE, "--input-type=module", "--check"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", sorted(assets.sources()))
def test_every_import_names_a_module_that_is_there(name):
    wanted = modules.needed(name, assets.sources()[name])
    assert wanted <= set(assets.sources())
