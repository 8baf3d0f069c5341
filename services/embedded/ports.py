"""Loopback ports for embedded servers: the usual one, else a free one."""

import random
import socket

# Below Linux' ephemeral range (32768…): a client that probes a port inside it can be given that very
# port as its own, connect to itself and so keep the server from binding.
_LOWEST, _HIGHEST = 20_000, 32_000
_ATTEMPTS = 200


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a server could bind the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: connections in TIME_WAIT do not keep a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def pick(usual: int | None = None, *, avoid: frozenset[int] = frozenset()) -> int:
    """The usual port if it is free, else a free one below the ephemeral range.

    Raises `OSError` when none is free. The port is not held: whoever starts a server on it still has
    to cope with losing the race.
    """
    if usual is not None and usual not in avoid and is_free(usual):
        return usual
    for _ in range(_ATTEMPTS):
        port = random.randrange(_LOWEST, _HIGHEST)  # noqa: S311 - a port is no secret
        if port not in avoid and is_free(port):
            return port
    raise OSError(f"no free port between {_LOWEST} and {_HIGHEST} on loopback")
