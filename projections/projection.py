"""What a read model is: a row, a fold over one context's events, and its table in PostgreSQL.

fold(row | None, event, meta) -> row | None      pure, total, unchanged by what it saw already
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol


class Row(Protocol):
    """A frozen dataclass whose fields are the shape that doors show."""

    @property
    def version(self) -> int:
        """Number of the last event of the aggregate that is in the row."""
        ...


@dataclass(frozen=True, slots=True)
class Meta:
    """Whose event it is and which."""

    aggregate_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Projection:
    """`name` is the table's name, `context` whose events it folds.

    `load` is the opposite of writing a row as JSON; `columns` gives a row's values in the order
    of the parameters of `upsert`, which takes one array for each and keeps rows that are newer.
    """

    name: str
    context: str
    events: tuple[type, ...]
    fold: Callable[[Any, Any, Meta], Any]
    load: Callable[[Mapping[str, Any]], Row]
    columns: Callable[[str, Any], tuple[Any, ...]]
    upsert: str

    def pruned(self, row: Any, version: int) -> Any:
        """The row after an event that was pruned: it counts, and changes nothing."""
        return replace(row, version=max(version, row.version))
