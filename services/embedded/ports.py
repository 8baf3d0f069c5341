"""Loopback ports for embedded servers and services: the usual one, else a free one.

Between the choice and the server's own bind another stack could choose the same port, and its server
would then answer in place of ours. So a chosen port is claimed: its UDP twin, which nobody here uses,
stays bound as long as this process lives; the system releases it, however we end.
"""

import random
import socket

# Below Linux' ephemeral range (32768…): a client that probes a port inside it can be given that very
# port as its own, connect to itself and so keep the server from binding.
_LOWEST, _HIGHEST = 20_000, 32_000
_ATTEMPTS = 200

_claims: dict[int, socket.socket] = {}


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a server could bind the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: connections in TIME_WAIT do not keep a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _binds(probe, port, host) and _listens(probe)


def pick(usual: int | None = None, *, avoid: frozenset[int] = frozenset()) -> int:
    """The usual port if it is free and unclaimed, else another one, claimed by this process from now on.

    A port that this process claimed earlier may be picked again. Raises `OSError` when none is free.
    """
    candidates = [random.randrange(_LOWEST, _HIGHEST) for _ in range(_ATTEMPTS)]  # noqa: S311 - no secret
    for port in [*([] if usual is None else [usual]), *candidates]:
        if port not in avoid and is_free(port) and _claim(port):
            return port
    raise OSError(f"no free port between {_LOWEST} and {_HIGHEST} on loopback")


def _claim(port: int) -> bool:
    if port in _claims:
        return True
    twin = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if not _binds(twin, port, "127.0.0.1"):
        twin.close()
        return False
    _claims[port] = twin
    return True


def _binds(probe: socket.socket, port: int, host: str) -> bool:
    try:
        probe.bind((host, port))
    except OSError:
        return False
    return True


def _listens(probe: socket.socket) -> bool:
    try:
        probe.listen(1)
    except OSError:
        return False
    return True
