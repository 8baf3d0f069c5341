"""Table of contents: each page of docs/reference and the module that makes it."""

from functools import cache

from tools.reference import commands, error_codes, metrics, rest, settings

MADE = "<!-- Made by `python -m tools.reference`; do not edit. -->"


@cache
def pages() -> dict[str, str]:
    """File name → text."""
    made = {
        "settings.md": settings.page(),
        "errors.md": error_codes.page(),
        "cli.md": commands.page(),
        "rest.md": rest.page(),
        "metrics.md": metrics.page(),
    }
    return {name: f"{MADE}\n\n{text}" for name, text in made.items()}
