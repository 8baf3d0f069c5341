"""Ports: the usual one when it is free, else another below the ephemeral range."""

import os
import socket
import subprocess
import sys

from services.embedded import ports
from services.embedded.jars import ROOT


def test_a_port_that_somebody_listens_on_is_not_picked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]

        assert not ports.is_free(taken)
        assert ports.pick(taken) != taken


def test_the_usual_port_is_picked_when_it_is_free() -> None:
    usual = ports.pick()

    assert ports.pick(usual) == usual
    assert ports.pick(usual, avoid=frozenset({usual})) != usual


def test_a_free_port_lies_below_the_ephemeral_range() -> None:
    assert all(ports.pick() < 32_768 for _ in range(20))


def test_a_port_that_another_process_has_claimed_is_not_picked() -> None:
    script = (
        "import sys\n"
        "from services.embedded import ports\n"
        "print(ports.pick(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        claimed = int(other.stdout.readline())

        assert ports.is_free(claimed)
        assert ports.pick(claimed) != claimed
        other.kill()

    assert ports.pick(claimed) == claimed
