"""Header names, kept once: an event has a dozen, and nearly all events have the same."""

from collections.abc import Iterator, Mapping

MAX_SHAPES = 200
"""Foreign writers may make up header names without end."""

PLAIN = 0
"""The shape of an event whose header names stand beside their values."""


class Shapes:
    """Numbered tuples of header names; numbered by one thread, looked up by any."""

    def __init__(self, saved: Mapping[int, tuple[str, ...]]) -> None:
        self.names = dict(saved)
        self._numbers = {names: number for number, names in saved.items()}
        self._saved = len(saved)

    def number(self, headers: Mapping[str, bytes]) -> int:
        """The number of these names, a new one if there is room for it, else PLAIN."""
        names = tuple(headers)
        number = self._numbers.get(names)
        if number is None:
            if len(self.names) >= MAX_SHAPES:
                return PLAIN
            number = len(self.names) + 1
            # In this order: whoever meets the number finds its names.
            self.names[number] = names
            self._numbers[names] = number
        return number

    def unsaved(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        for number in range(self._saved + 1, len(self.names) + 1):
            yield number, self.names[number]

    def saved(self) -> None:
        """All of them are on the disk."""
        self._saved = len(self.names)
