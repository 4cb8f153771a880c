"""Our ES modules in one file: each in a function of its own, run when the first one asks for it.

The modules stay as they are written; a browser would need a request for each, and a page of charts twenty. Relied on
is how they are written: imports and exports begin a line, name what they bring, and end on that line.
"""

import posixpath
import re
from collections.abc import Iterable, Mapping

_IMPORT = re.compile(r'^import (?:(\{[^}]*\}) from )?"(\.{1,2}/[\w./-]+\.js)";$', re.MULTILINE)
_LATER = re.compile(r'\bimport\("(\.{1,2}/[\w./-]+\.js)"\)')
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|let|class) ([\w$]+))", re.MULTILINE)
_REMARKS = re.compile(r"^\s*(?://.*|/\*\*.*\*/|/\*\*\n(?:\s*\*.*\n)*?\s*\*/)\n", re.MULTILINE)
_RUNTIME = """const known = {}, made = {};
const need = (name) => made[name] || (made[name] = {}, known[name](made[name]), made[name]);
"""
# Pages name the modules that they want in <template data-module="name">.
ASKED = 'for (const each of document.querySelectorAll("template[data-module]")) need(each.dataset.module);\n'


def bundle(sources: Mapping[str, str], last: str = ASKED) -> str:
    """Put modules into one script.

    Parameters
    ----------
    sources : mapping of str to str
        Text of each module by its name, such as ``charts/zoom``: the path below ``js`` without its ending.
    last : str
        What runs at the end; ``need("name")`` runs a module, once.
    """
    return _RUNTIME + "".join(_wrapped(name, text) for name, text in sorted(sources.items())) + last


def running(names: Iterable[str]) -> str:
    """The end of a bundle that runs these modules."""
    return "".join(f'need("{name}");\n' for name in names)


def needed(name: str, text: str) -> set[str]:
    """Names of the modules that one imports, at once or later."""
    paths = [found[1] for found in _IMPORT.findall(text)] + _LATER.findall(text)
    return {_target(name, path) for path in paths}


def _target(name: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path)).removesuffix(".js")


def _wrapped(name: str, text: str) -> str:
    def bound(found: re.Match[str]) -> str:
        call = f'need("{_target(name, found[2])}");'
        return f"const {found[1]} = {call}" if found[1] else call

    # getters, so that two modules may need each other
    shown = "".join(f'Object.defineProperty(own, "{each}", {{ get: () => {each} }});' for each in _EXPORT.findall(text))
    body = _REMARKS.sub("", _EXPORT.sub("", _IMPORT.sub(bound, text)))
    body = _LATER.sub(lambda found: f'Promise.resolve(need("{_target(name, found[1])}"))', body)
    return f'known["{name}"] = (own) => {{ "use strict"; {shown}\n{body}}};\n'
