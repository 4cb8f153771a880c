"""Bodies of one make: a caller writes the same JSON around ever new values, so only the values are read anew.

Decoding a v2 body costs more than the model behind it, and nearly all of it is what each request repeats: names, shapes
and datatypes. A frame is the text around the values of a body that was understood. A body with exactly this text has
the same meaning but for its values; every other goes the usual way, which also says what is wrong with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from deployments.runtime.signature import Columns, Signature
from deployments.serve.protocols import tensors

MOST_FRAMES, LONGEST_BODY = 8, 16 << 10  # of a version that answers
_MARK = re.compile(rb'"data"\s*:\s*\[')
_BETWEEN = b"],["


@dataclass(frozen=True, slots=True)
class Frame:
    """The text around the values of a body with one tensor a column.

    Parameters
    ----------
    mark : bytes
        What opens the values of each tensor, as this caller writes it.
    head : bytes
        Up to the first mark.
    tails : tuple of bytes
        From the end of the values of each tensor to the next mark, or to the end.
    rows : int
        Values in each tensor.
    pick : itemgetter or None
        Puts the tensors into the order of the signature; None when they are.
    wanted : dict
        What the answer depends on, see `Question`.
    around : int
        How much longer a body is than its values with brackets between them.
    """

    mark: bytes
    head: bytes
    tails: tuple[bytes, ...]
    rows: int
    pick: itemgetter[Any] | None
    wanted: dict[str, Any]
    around: int

    def columns(self, body: bytes) -> Columns | None:
        """Values in the order of the signature, not checked yet; None when the body has another frame."""
        head, *parts = body.split(self.mark)
        if head != self.head or len(parts) != len(self.tails):
            return None
        values = _BETWEEN.join(map(bytes.removesuffix, parts, self.tails))
        # The length says that each tail was there. With no bracket but those put between, each list that is read is
        # what stood in one tensor, or there are too few: a text from one tensor into the next makes one list of two.
        if len(values) != len(body) - self.around or values.count(b"]") != len(parts) - 1:
            return None
        try:
            held: Columns = orjson.loads(b"[[%b]]" % values)
        except orjson.JSONDecodeError:
            return None
        if len(held) != len(parts) or set(map(len, held)) != {self.rows}:
            return None
        return held if self.pick is None else list(self.pick(held))


def learn(body: bytes, document: dict[str, Any], signature: Signature, wanted: dict[str, Any]) -> list[Frame]:
    """Find the frame of a body that was decoded; empty when it is not of the usual shape.

    It is not believed but tried: with other values in it, the body has to decode to the same but for those values, each
    in its own tensor.
    """
    sent = document["inputs"]
    marks = set(_MARK.findall(body)) if len(body) <= LONGEST_BODY else set()
    if len(marks) != 1 or type(sent) is not list or (alike := tensors.alike(sent)) is None:
        return []
    (mark,) = marks
    head, *parts = body.split(mark)
    if len(parts) != len(sent):
        return []
    names, values = alike
    tails = tuple(part[part.find(b"]") :] for part in parts)
    pick = _order(names, signature)
    rows = len(values[0])
    around = len(head) + len(parts) * len(mark) + sum(map(len, tails)) - len(_BETWEEN) * (len(parts) - 1)
    if pick is None or not rows or not _holds(mark, head, tails, rows, document):
        return []
    return [Frame(mark, head, tails, rows, None if tuple(names) == signature.names else pick, wanted, around)]


def _order(names: list[str], signature: Signature) -> itemgetter[Any] | None:
    """What picks the columns of the signature from these; None when they are others."""
    if len(names) < 2 or sorted(names) != sorted(signature.names):
        return None
    return itemgetter(*(names.index(name) for name in signature.names))


def _holds(mark: bytes, head: bytes, tails: tuple[bytes, ...], rows: int, document: dict[str, Any]) -> bool:
    """Whether the places found are those of the values."""
    other = [[place * rows + row for row in range(rows)] for place in range(len(tails))]
    texts = [orjson.dumps(values)[1:-1] for values in other]
    tried = head + b"".join(mark + text + tail for text, tail in zip(texts, tails, strict=True))
    inputs = [{**tensor, "data": values} for tensor, values in zip(document["inputs"], other, strict=True)]
    try:
        return bool(orjson.loads(tried) == {**document, "inputs": inputs})
    except orjson.JSONDecodeError:
        return False
