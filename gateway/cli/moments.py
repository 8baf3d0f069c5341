"""Moments as they are typed: RFC 3339, with a zone."""

from datetime import datetime

from domain.errors import Invalid


def moment(text: str, option: str) -> datetime:
    """The moment that an option names. Raises Invalid."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Invalid(
            "query.invalid",
            f"{option} {text[:40]!r} is no time with a zone; write one like 2026-03-01T12:00:00Z",
        )
    return found
