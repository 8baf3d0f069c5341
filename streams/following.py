"""Which partitions a worker reads into its index: all, or those it owns and stands by for.

Pipelines are read everywhere: whoever starts a run needs a definition that another worker may own.
"""

from collections.abc import Collection

from streams.turn import Place

EVERYWHERE = "pipeline"
"""The context whose events every worker reads."""


class Following:
    """Set by the thread that learns the assignment, read by all."""

    def __init__(self, numbers: Collection[int], *, everything: bool = False) -> None:
        """`everything` = `numbers` are all there are, and it stays so."""
        self._everything = everything
        self.numbers = frozenset(numbers)

    def follow(self, numbers: Collection[int]) -> None:
        """Read these partition numbers from now on, and of no others more than pipelines."""
        if not self._everything:
            self.numbers = frozenset(numbers)

    def __contains__(self, place: Place) -> bool:
        return place[0] == EVERYWHERE or place[1] in self.numbers
