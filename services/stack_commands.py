"""`flexcore demo | dev | stop | status` and one process each: `api | worker | projector`."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gateway.cli import places
from gateway.cli.options import PLACE, WHERE, Place, Where
from gateway.cli.output import View, show_all, tell
from services.endpoints import Endpoints

if TYPE_CHECKING:
    from gateway.settings import Settings

PART = View(
    name="role", columns={"PART": "role", "ADDRESS": "address", "READY": "ready", "PIDS": "pids"}
)
ADDRESS = View(name="part", columns={"PART": "part", "ADDRESS": "address"})


def demo(*, exit_: Annotated[bool, Parameter(name="--exit")] = False, place: Place = PLACE) -> int:
    """Start everything, run a real pipeline, show its steps and its result, and stay up.

    Parameters
    ----------
    exit_
        end afterwards
    """
    from services.demo import run_demo

    return run_demo(places.data_dir(place), stay=not exit_)


def dev(*, detach: bool = False, where: Where = WHERE) -> None:
    """Run Kafka, PostgreSQL and all services here until Ctrl-C; what is configured is not started.

    Parameters
    ----------
    detach
        return when everything is ready, and leave it running; `flexcore stop` ends it
    """
    from services.progress import console_progress

    folder = places.data_dir(where)
    settings = settings_of(folder)
    if detach:
        from services.detached import start_detached

        with console_progress() as on_progress:
            found = start_detached(settings, data_dir=folder, on_progress=on_progress)
        _show_addresses(found, where)
        return
    from services.dev import start_stack

    with console_progress() as on_progress:
        stack = start_stack(settings, data_dir=folder, on_progress=on_progress)
    with stack:
        _show_addresses(stack.endpoints, where)
        # Ctrl-C is how it is meant to end, whenever it comes.
        with suppress(KeyboardInterrupt):
            tell("ready; Ctrl-C ends it")
            stack.wait()
        tell("stopping")


def stop(*, place: Place = PLACE) -> None:
    """End the stack that runs over the data folder."""
    from services.dev import stop_stack

    folder = places.data_dir(place)
    tell("stopped" if stop_stack(folder) else f"no stack was running over {folder}")


def status(*, where: Where = WHERE) -> int:
    """Show every part with its address, readiness and processes; exit code 6 when one is away."""
    from services.status import status_of

    folder = places.data_dir(where)
    parts = status_of(folder)
    show_all([asdict(part) for part in parts], PART, where.output)
    tell(_durability(settings_of(folder)))
    return 0 if all(part.ready for part in parts) else 6


def api() -> None:
    """Run one api over the configured Kafka and PostgreSQL."""
    from services.api import main

    main()


def worker() -> None:
    """Run one worker over the configured Kafka."""
    from services.worker import main

    main()


def projector() -> None:
    """Run one projector over the configured Kafka and PostgreSQL."""
    from services.projector import main

    main()


def settings_of(folder: Path) -> "Settings":
    """The settings in force for a stack over `folder`."""
    from gateway.settings import read

    return read(flags={"data_dir": folder})


def _durability(settings: "Settings") -> str:
    """What an answered command survives."""
    copies = settings.kafka.replication_factor
    if copies > 1:
        return f"durability B: {copies} copies; an answered command survives the loss of a broker"
    return "durability A: one copy; an answered command survives every process, not a power loss"


def _show_addresses(found: Endpoints, where: Where) -> None:
    parts = ("kafka", "registry", "api", "worker", "projector")
    rows = [{"part": part, "address": getattr(found, part)} for part in parts]
    show_all(rows, ADDRESS, where.output)
