"""A run as it goes on: a table that changes on a terminal, a line per change elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from domain.errors import NotFound
from gateway.cli.client import Api
from gateway.cli.execution import ENDED, STEPS, path_of
from gateway.cli.output import Item, console, table

FIRST_PAUSE_S = 0.03
LONGEST_PAUSE_S = 0.5
"""Short runs are seen step by step; one of an hour is asked for twice a second."""
APPEARS_WITHIN_S = 5.0


Sight = Callable[[Item], None]
"""Shows a run as it is now."""


def watched(api: Api, execution_id: str, *, live: bool = True, at_least: str = "") -> Any:
    """The run at its end, shown until then. Raises NotFound for one that does not appear."""
    run: Any = None
    with _sight() if live else _blind() as show:
        for run in _versions(api, execution_id, at_least):
            show(run)
    return run


def _versions(api: Api, execution_id: str, at_least: str) -> Iterator[Any]:
    began = time.monotonic()
    version, pause_s = 0, FIRST_PAUSE_S
    while True:
        try:
            run = api.get(path_of(execution_id), at_least=at_least).body
        except NotFound:
            # A run that was just asked for is a moment away from the read model.
            if version or time.monotonic() - began > APPEARS_WITHIN_S:
                raise
            time.sleep(FIRST_PAUSE_S)
            continue
        if run["version"] != version:
            version, pause_s = run["version"], FIRST_PAUSE_S
            yield run
        if run["status"] in ENDED:
            return
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)


@contextmanager
def _sight() -> Iterator[Sight]:
    if not sys.stdout.isatty():
        yield _Lines()
        return
    from rich.live import Live

    with Live(console=console(), auto_refresh=False) as screen:

        def show(run: Item) -> None:
            screen.update(table(run["steps"], STEPS), refresh=True)

        yield show


@contextmanager
def _blind() -> Iterator[Sight]:
    yield lambda _: None


class _Lines:
    """One line per step that changed."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, int]] = {}

    def __call__(self, run: Item) -> None:
        for step in run["steps"]:
            now = (step["status"], step["attempt"])
            if self._seen.get(step["step_id"], ("pending", 0)) != now:
                self._seen[step["step_id"]] = now
                print(_line(step), flush=True)


def _line(step: Item) -> str:
    line = f"{step['step_id']:<16} {step['status']}"
    if step["duration_s"] is not None:
        line += f" after {step['duration_s']:.3f} s"
    if isinstance(step["output"], dict) and "count" in step["output"]:
        line += f", {step['output']['count']} rows"
    if step["error"] is not None:
        line += f" ({step['error']['message']})"
    return line
