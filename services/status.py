"""What `flexcore status` shows: each part of a running stack, and whether it answers."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from services.dev import read_endpoints
from services.roles import answers_ready

_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part: its address (without a password), its processes (none when it is not ours), readiness."""

    role: str
    address: str
    pids: Sequence[int]
    ready: bool


def status_of(data_dir: Path) -> list[PartStatus]:
    """Every part of the stack over `data_dir`; raises `Unavailable` (`stack.not_running`)."""
    found = read_endpoints(data_dir)
    return [
        PartStatus(role, address, found.pids.get(role, ()), ready)
        for role, address, ready in (
            *_servers(found.kafka, found.database),
            *(
                (role, url, answers_ready(url))
                for role, url in (
                    ("worker", found.worker),
                    ("projector", found.projector),
                    ("api", found.api),
                )
            ),
        )
    ]


def _servers(kafka: str, database: str) -> Iterator[tuple[str, str, bool]]:
    # The first of several brokers is enough to say that there is a cluster.
    host, _, port = kafka.partition(",")[0].rpartition(":")
    yield "kafka", kafka, _listens(host, int(port))
    url = urlsplit(database)
    host, number = url.hostname or "127.0.0.1", url.port or 5432
    yield "postgres", f"{host}:{number}{url.path}", _listens(host, number)


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _WITHIN_S).close()
    except OSError:
        return False
    return True
