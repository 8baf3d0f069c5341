"""The answer to a command, as it stands on the outcomes topic."""

from dataclasses import dataclass
from typing import Annotated

from domain.quick_init import quick_init


@quick_init
@dataclass(frozen=True, slots=True)
class Outcome:
    """`versions` are the events the command made, `position` is where the last of them is seen."""

    aggregate_id: str
    versions: tuple[Annotated[int, "long"], ...]
    position: str
    error_code: str
    error_message: str
