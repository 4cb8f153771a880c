"""Text for people."""


def clip(text: str, limit: int = 200) -> str:
    """Text short enough for a table cell."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
