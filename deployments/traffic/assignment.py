"""Assign units to variants: the same unit always meets the same one, and growing a share keeps those already in it."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate

SPACE = 1 << 64
_HALF = 1 << 63


def place(unit: bytes, key: bytes) -> int:
    """Place of a unit among 2^64, evenly spread and independent between keys; 0.8 us.

    Parameters
    ----------
    unit : bytes
        Whom or what the caller says the request is about.
    key : bytes
        Salt of the rollout or trial, at most 64 bytes.
    """
    return int.from_bytes(blake2b(unit, key=key, digest_size=8).digest(), "big")


def any_place() -> int:
    """A place of chance, for a request without a unit."""
    return int.from_bytes(os.urandom(8), "big")


def bounds(weights: Sequence[float]) -> tuple[int, ...]:
    """Upper ends of the variants' stretches of the space; the last one takes what rounding leaves.

    Parameters
    ----------
    weights : sequence of float
        Shares in the order of assignment, summing to 1. What grows stands first, so that it keeps its units.
    """
    ends = [round(total * SPACE) for total in accumulate(weights)]
    return (*ends[:-1], SPACE)


def pick(ends: Sequence[int], at: int) -> int:
    """Index of the variant whose stretch a place lies in; a variant of no weight gets none."""
    return bisect_right(ends, at)


def signed(at: int) -> int:
    """The place as a number that fits a database's 64-bit column."""
    return at - SPACE if at >= _HALF else at
