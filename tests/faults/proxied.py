"""Starts and steers the proxy's process."""

import json
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services.embedded import ports, process
from services.embedded.jars import ROOT
from services.environment import without_settings
from tests.faults.proxy import HOST
from tests.faults.proxy_rules import Rule, Shape
from tests.faults.workers import until

Door = tuple[int, int, int]
"""(slot, port that a worker connects to, port of the broker's listener behind it)."""


class Proxied:
    """A running proxy."""

    def __init__(self, doors: Sequence[Door], log: Path) -> None:
        self._control = ports.pick(avoid=frozenset(port for door in doors for port in door[1:]))
        self._process = process.start(
            [sys.executable, "-m", "tests.faults.proxy", str(self._control), json.dumps(doors)],
            log=log,
            env=without_settings(),
            cwd=ROOT,
            grace_s=1.0,
        )
        self._socket: socket.socket | None = None
        self._asking = threading.Lock()
        until(self._connected, 30.0, "the proxy")

    def _connected(self) -> bool:
        try:
            self._socket = socket.create_connection((HOST, self._control), 2.0)
        except OSError:
            return False
        self._socket.settimeout(30.0)
        self._lines = self._socket.makefile("rwb")
        return True

    def stop(self) -> None:
        """End it and all connections through it."""
        if self._socket is not None:
            self._socket.close()
        self._process.stop()

    def add(self, rule: Rule) -> int:
        """Put a rule in force; returns the number of events so far."""
        return int(self._ask(do="rule", rule=asdict(rule))["events"])

    def shape(self, slot: int, shape: Shape) -> None:
        """From now on a slot's connections carry bytes like this."""
        self._ask(do="shape", slot=slot, shape=asdict(shape))

    def cut(self, slot: int) -> None:
        """End a slot's connections; new ones are let in."""
        self._ask(do="cut", slot=slot)

    def clear(self, slot: int | None = None) -> None:
        """No rules and no shapes for a slot, or for all; strays that are kept stay late."""
        self._ask(do="clear", slot=slot)

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """What happened to requests, from the event number `since` on."""
        found: list[dict[str, Any]] = self._ask(do="events", since=since)
        return found

    def shaped(self, slot: int) -> int:
        """How many chunks of a slot's bytes were carried in a shape."""
        return int(self._ask(do="shaped", slot=slot))

    def _ask(self, **asked: Any) -> Any:
        with self._asking:
            self._lines.write(json.dumps(asked).encode() + b"\n")
            self._lines.flush()
            return json.loads(self._lines.readline())
