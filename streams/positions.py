"""A position: how far a read model or an answer has come, opaque to clients (`execution/3@12345`)."""

import re
from collections.abc import Mapping

from domain.errors import Invalid

Position = Mapping[tuple[str, int], int]
"""(context, partition) → offset of the last event that is included."""

_PLACE = re.compile(r"(?P<context>[a-z_]{1,40})/(?P<partition>[0-9]{1,9})@(?P<offset>[0-9]{1,18})")


def position_text(position: Position) -> str:
    """`execution/3@12345`, comma-separated."""
    parts = sorted(position.items())
    return ",".join(f"{context}/{partition}@{offset}" for (context, partition), offset in parts)


def parse_position(text: str) -> dict[tuple[str, int], int]:
    """The position in `text`. Raises Invalid."""
    found: dict[tuple[str, int], int] = {}
    for part in filter(None, (part.strip() for part in text.split(",", 1_000))):
        place = _PLACE.fullmatch(part)
        if place is None:
            raise Invalid(
                "query.invalid", f"{part[:100]!r} is no position; use one as it was given"
            )
        key = place["context"], int(place["partition"])
        found[key] = max(int(place["offset"]), found.get(key, -1))
    return found
