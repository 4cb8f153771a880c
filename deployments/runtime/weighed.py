"""One row of a linear model in one go: what each column adds to the score.

What a category adds is one number, so its place in the matrix and the coefficient there become one look-up. The terms
come in the order of the matrix, so that their sum is the library's to the last bit; `exact.choose` checks that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add, mul
from typing import Any

from deployments.runtime.encoder import Block, CodeBlock, Encoder, NumberBlock, OneHotBlock, Row

Terms = Callable[[Row], list[float]]
# Input, what a value adds, and what a value adds that is not among them.
LookUp = tuple[int, Callable[[Any, float], float], float]


def compile_row(encoder: Encoder, coefficients: Sequence[float], term: float) -> Callable[[Row], float] | None:
    """Return what gives the score of one row, of raw values in signature order; None for blocks not known here."""
    parts: list[Terms] = []
    waiting: list[LookUp] = []
    for block in encoder.blocks:
        if (found := _look_up(block, coefficients)) is not None:
            waiting.append(found)
        elif isinstance(block, NumberBlock):
            parts += [*_together(waiting), _numbers(block, coefficients)]
            waiting = []
        else:
            return None
    return _sum([*parts, *_together(waiting)], term)


def _sum(parts: list[Terms], term: float) -> Callable[[Row], float]:
    def score(row: Row) -> float:
        terms: list[float] = []
        for part in parts:
            terms += part(row)
        return reduce(add, terms, 0.0) + term  # not sum(), which newer Pythons compensate

    return score


def _numbers(block: NumberBlock, coefficients: Sequence[float]) -> Terms:
    own, numbers = list(coefficients[block.start : block.stop]), block.numbers
    return lambda row: list(map(mul, numbers(row), own))


def _together(look_ups: list[LookUp]) -> list[Terms]:
    held = tuple(look_ups)
    return [lambda row: [find(row[place], usual) for place, find, usual in held]] if held else []


def _look_up(block: Block, coefficients: Sequence[float]) -> LookUp | None:
    """Say what each value adds; one without a place adds 0.0, which changes no sum that began with 0.0."""
    if isinstance(block, OneHotBlock):
        added = {value: coefficients[place] for value, place in block.places.items()}
        usual = 0.0
    elif isinstance(block, CodeBlock):
        added = {value: code * coefficients[block.start] for value, code in block.codes.items()}
        usual = block.unknown * coefficients[block.start]
    else:
        return None
    if block.fill is not None:
        added[None] = added.get(block.fill, usual)
    return block.input, added.get, usual
