"""A position: how far a read model or an answer has come, opaque to clients (`execution/3@12345`)."""

from collections.abc import Mapping

from domain.errors import Invalid

Position = Mapping[tuple[str, int], int]
"""(context, partition) → offset of the last event that is included."""


def position_text(position: Position) -> str:
    """`execution/3@12345`, comma-separated."""
    parts = sorted(position.items())
    return ",".join(f"{context}/{partition}@{offset}" for (context, partition), offset in parts)


def parse_position(text: str) -> dict[tuple[str, int], int]:
    """The position in `text`. Raises Invalid."""
    found: dict[tuple[str, int], int] = {}
    for part in filter(None, (part.strip() for part in text.split(",", 1_000))):
        place, at, offset = part.partition("@")
        context, slash, partition = place.partition("/")
        if not (at and slash and partition.isdecimal() and offset.isdecimal()) or len(part) > 100:
            raise Invalid(
                "query.invalid", f"{part[:100]!r} is no position; use one as it was given"
            )
        key = context, int(partition)
        found[key] = max(int(offset), found.get(key, -1))
    return found
