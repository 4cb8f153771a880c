"""Where the boxes and arrows of a drawing of moves lie; a template writes the SVG."""

from dataclasses import dataclass

from deployments.services.ways import ANYWHERE, NOTHING, Ways

WIDE, HIGH, GAP, EDGE, TOP = 132, 36, 56, 8, 84
PLAIN = 16  # characters of a name that fit into a box


@dataclass(frozen=True)
class Box:
    """One environment, or the start of a version that answers nowhere."""

    text: str
    x: int
    is_start: bool = False
    from_anywhere: bool = False

    @property
    def middle(self) -> int:
        """Horizontal middle."""
        return self.x + WIDE // 2


@dataclass(frozen=True)
class Drawing:
    """Everything a template needs, in the units of its view box."""

    width: int
    height: int
    boxes: list[Box]
    arrows: list[str]
    entries: list[str]
    box_wide: int = WIDE
    box_high: int = HIGH
    top: int = TOP

    @property
    def text_y(self) -> int:
        """Base line of the words in a box."""
        return TOP + HIGH // 2 + 4


def moves(ways: Ways) -> Drawing:
    """Lay the environments out in their order: moves on to the next straight, further ones above, back ones below."""
    starts = any(NOTHING in start for start in ways.into.values())
    known: list[int | str] = [*([NOTHING] if starts else []), *ways.places]
    boxes = [_box(ways, key, EDGE + at * (WIDE + GAP)) for at, key in enumerate(known)]
    where = {key: at for at, key in enumerate(known)}
    pairs = [
        (where[start], where[goal])
        for goal in ways.places
        for start in ways.into[goal]
        if start != ANYWHERE and start in where
    ]
    return Drawing(
        width=max(len(known), 1) * (WIDE + GAP) - GAP + 2 * EDGE,
        height=TOP + HIGH + TOP,
        boxes=boxes,
        arrows=[_arrow(boxes, start, goal) for start, goal in sorted(pairs)],
        entries=[f"M{box.middle} {TOP - 46} V{TOP - 4}" for box in boxes if box.from_anywhere],
    )


def _box(ways: Ways, key: int | str, x: int) -> Box:
    if isinstance(key, str):
        return Box("no environment", x, is_start=True)
    name = ways.places[key].name
    short = name if len(name) <= PLAIN else f"{name[: PLAIN - 1]}…"
    return Box(short, x, from_anywhere=ANYWHERE in ways.into[key])


def _arrow(boxes: list[Box], start: int, goal: int) -> str:
    one, other, middle = boxes[start], boxes[goal], TOP + HIGH // 2
    if goal == start + 1:
        return f"M{one.x + WIDE} {middle} H{other.x - 4}"
    bend = min(24 + 12 * abs(goal - start), TOP - 8)
    side, edge, off = (1, TOP, -bend) if goal > start else (-1, TOP + HIGH, bend)
    leave, reach = one.middle + 24 * side, other.middle - 24 * side
    return f"M{leave} {edge} C{leave} {edge + off} {reach} {edge + off} {reach} {edge - 4 * side}"
