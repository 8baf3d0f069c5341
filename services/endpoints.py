"""`<data dir>/endpoints.json`: where the parts of a running stack are reached.

It holds the database's password, so it is readable by its owner alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from services.private_file import write_private

FILE = "endpoints.json"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """`kafka` is host:port, `database` and `data_database` URLs, the others base URLs; `pids` by role."""

    kafka: str
    registry: str
    api: str
    worker: str
    projector: str
    database: str = field(repr=False)
    data_database: str | None = field(repr=False)
    pids: Mapping[str, Sequence[int]]


def write(data_dir: Path, endpoints: Endpoints) -> None:
    """Replace the file in one step, mode 0600."""
    write_private(data_dir / FILE, json.dumps(asdict(endpoints), indent=2))


def load(data_dir: Path) -> Endpoints | None:
    """What the file holds, None where there is none."""
    try:
        return Endpoints(**json.loads((data_dir / FILE).read_text("utf-8")))
    except FileNotFoundError:
        return None


def remove(data_dir: Path) -> None:
    """Remove the file, if there is one."""
    (data_dir / FILE).unlink(missing_ok=True)
