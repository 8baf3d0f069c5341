"""The answer to a command, as it stands on the outcomes topic."""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, slots=True)
class Outcome:
    """`versions` are the events the command made, `position` is where the last of them is seen."""

    aggregate_id: str
    versions: tuple[Annotated[int, "long"], ...]
    position: str
    error_code: str
    error_message: str
