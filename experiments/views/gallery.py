"""Images that clients log again and again: by key and step, as their file names tell."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

MOST_STEPS = 200
STRIP = 12
# `key+step+3+timestamp+17…+uuid+compressed.webp`; older clients wrote % for + and # for the slashes of a key.
_NAME = re.compile(
    r"images/(?P<key>.+?)(?P<mark>[+%])step(?P=mark)(?P<step>-?\d{1,18})(?P=mark)timestamp(?P=mark)(?P<stamp>\d{1,15})"
    r"(?P=mark)(?P<id>[0-9a-fA-F-]{8,36})(?P<small>(?P=mark)compressed)?\.(?P<ending>\w{1,8})"
)
Address = Callable[[str], str]
T = TypeVar("T")


@dataclass(slots=True)
class Shot:
    """One image of a key: the whole file and the small one."""

    step: int
    stamp_ms: int
    full: str = ""
    small: str = ""


def keys_of(paths: Iterable[str]) -> dict[str, list[Shot]]:
    """Return the images of each key in the order of their steps; other files are left out."""
    shots: dict[tuple[str, int, int, str], Shot] = {}
    for path in paths:
        if not (found := _NAME.fullmatch(path)):
            continue
        key = found["key"].replace("~" if found["mark"] == "+" else "#", "/")
        step, stamp = int(found["step"]), int(found["stamp"])
        shot = shots.setdefault((key, step, stamp, found["id"]), Shot(step, stamp))
        if found["small"]:
            shot.small = path
        else:
            shot.full = path
    keys: dict[str, list[Shot]] = defaultdict(list)
    for (key, *_), shot in sorted(shots.items(), key=lambda pair: pair[0]):
        keys[key].append(shot)
    return dict(keys)


def galleries(paths: Iterable[str], image: Address, show: Address) -> list[dict[str, Any]]:
    """What a page shows of each key: the last image, and all steps for the slider.

    Parameters
    ----------
    image, show : callable
        Address of a file's bytes as an image, and of its page.
    """
    out = []
    for at, (key, shots) in enumerate(keys_of(paths).items()):
        steps = [frame(shot, image, show) for shot in thinned(shots, MOST_STEPS)]
        out.append(
            {
                "id": f"img-{at}", "key": key, "steps": steps, "last": steps[-1], "total": len(shots),
                "final": len(steps) - 1, "strip": thinned(steps, STRIP),
            }
        )  # fmt: skip
    return out


def frame(shot: Shot, image: Address, show: Address) -> dict[str, Any]:
    """One step as the slider reads it."""
    return {
        "step": shot.step, "time": time_of(shot.stamp_ms), "src": image(shot.small or shot.full),
        "url": show(shot.full or shot.small),
    }  # fmt: skip


def thinned(items: list[T], most: int) -> list[T]:
    """Keep at most so many, evenly, with the first and the last."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def time_of(stamp_ms: int) -> str:
    """A timestamp in UTC, empty when no calendar reaches it."""
    try:
        return f"{datetime.fromtimestamp(stamp_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return ""
