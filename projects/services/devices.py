"""What a browser calls itself, in a few words."""

import re

BROWSERS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
    ("curl/", "curl"), ("python", "Python"),
)  # fmt: skip
SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip


def words(agent: str) -> str:
    """Return browser and system, as far as the header tells: ``"Firefox on Linux"``."""
    browser = next((name for mark, name in BROWSERS if mark.lower() in agent.lower()), "")
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or re.sub(r"[^ -~]", "", agent)[:40] or "Unknown device"
