"""What the address of a list asks for and cannot have, in words: none or one sentence."""

from collections.abc import Collection, Sequence


def order_fault(sort: str, orders: Collection[str]) -> list[str]:
    """Say that there is no such order; one that is given may begin with a minus."""
    if not sort or sort.removeprefix("-") in orders:
        return []
    return [f"sort: there is no order {sort[:40]!r}. Orders: {', '.join(orders)}."]


def size_fault(field: str, given: str, sizes: Sequence[int], *, usual: int) -> list[str]:
    """Say that no page has so many rows, and how many are shown instead."""
    if not given or given in {str(size) for size in sizes}:
        return []
    offered = ", ".join(map(str, sizes))
    return [f"{field}: {given[:40]!r} is no size of a page ({offered}); {usual} rows are shown."]
