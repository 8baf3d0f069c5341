"""What every list of the read models can be asked for."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from gateway.strict import bounded
from projections.page import MAX_LIMIT, MAX_OFFSET

Sort = TypeVar("Sort", bound=str)


class Page(BaseModel, Generic[Sort]):
    """A page of a list; `sort` is its time, with a minus in front where the newest comes first."""

    model_config = ConfigDict(extra="forbid")

    sort: Sort
    limit: Annotated[int, bounded(1, MAX_LIMIT)] = 50
    offset: Annotated[int, bounded(0, MAX_OFFSET)] = 0
    cursor: str | None = None

    def matching(self) -> dict[str, Any]:
        """The fields of the query."""
        oldest_first = not self.sort.startswith("-")
        return {**self.model_dump(exclude={"sort"}), "oldest_first": oldest_first}
