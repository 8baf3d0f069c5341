"""To which level of compatibility the records of each topic are held.

BACKWARD   the new schema reads what the older ones wrote
FORWARD    the older ones read what the new one writes        FULL   both
…_TRANSITIVE   all older versions are meant, not the last one alone
"""

# Apart from compatibility.py, whose library takes 0.2 s to load: workers only want the names.
from typing import Literal

Level = Literal[
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
    "NONE",
]

_LEVELS: dict[str, Level] = {
    "events": "FULL_TRANSITIVE",
    "commands": "BACKWARD_TRANSITIVE",
    "outcomes": "FULL_TRANSITIVE",
    # A snapshot of another release is not read; the events it stands for are.
    "snapshots": "NONE",
}


def level_of(topic: str) -> Level | None:
    """The level of the records on a topic, named without prefix; `None` for no topic of ours."""
    return _LEVELS.get(topic.rpartition(".")[2])
