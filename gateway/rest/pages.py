"""What every list of the read models can be asked for."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Sort = TypeVar("Sort", bound=str)


class Page(BaseModel, Generic[Sort]):
    """A page of a list; `sort` is its time, with a minus in front where the newest comes first."""

    model_config = ConfigDict(extra="forbid")

    sort: Sort
    limit: int = 50
    offset: int = 0
    cursor: str | None = None

    def matching(self) -> dict[str, Any]:
        """The fields of the query."""
        oldest_first = not self.sort.startswith("-")
        return {**self.model_dump(exclude={"sort"}), "oldest_first": oldest_first}
