"""Values made of a fuzzer's bytes: the same bytes always make the same values, and none runs out."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Takes bytes from the front; where there are none left, every choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, below: int) -> int:
        """0 up to below `below`, of at most 256."""
        return (self.taken(1) or b"\0")[0] % below

    def one(self, of: Sequence[T]) -> T:
        return of[self.number(len(of))]

    def taken(self, count: int) -> bytes:
        """The next bytes, fewer at the end."""
        found = self._data[self._at : self._at + count]
        self._at += len(found)
        return found

    def short(self) -> bytes:
        """Bytes behind their number, at most 255."""
        return self.taken((self.taken(1) or b"\0")[0])

    def rest(self) -> bytes:
        return self.taken(len(self._data))
