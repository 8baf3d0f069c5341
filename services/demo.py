"""`flexcore demo`: a stack, a real pipeline in it, its steps as they happen, its result.

stack ─► demo_example.py: create or revise ─► activate ─► execute ─► steps, live ─► rows ─► what next
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from domain.errors import Unavailable
from gateway.cli.output import tell
from gateway.settings import read
from services.dev import Stack, preload, read_endpoints, start_stack
from services.endpoints import Endpoints
from services.installation import COMMAND, SHIPPED
from services.progress import console_progress

EXAMPLE = "seattle"


def run_demo(data_dir: Path, *, stay: bool) -> int:
    """Run the example over `data_dir`, in the stack that runs there or in a new one; the exit code.

    Raises Unavailable (`stack.failed`), and what the api raises.
    """
    with _stack(data_dir) as running:
        from services.demo_example import run_example

        code = run_example(running.endpoints)
        ends = running.stack is not None and not stay
        if code == 0:
            _tell_next(running.endpoints, ends=ends)
        if code == 0 and not ends and running.stack is not None:
            # Ctrl-C is how it is meant to end, whenever it comes.
            with suppress(KeyboardInterrupt):
                tell("\nThe stack stays up; Ctrl-C ends it.")
                running.stack.wait()
            tell("stopping")
    return code


@dataclass(frozen=True, slots=True)
class _Running:
    """Where a stack is; `stack` is `None` where it is somebody else's."""

    endpoints: Endpoints
    stack: Stack | None


@contextmanager
def _stack(data_dir: Path) -> Iterator[_Running]:
    try:
        theirs = _Running(read_endpoints(data_dir), None)
    except Unavailable:
        theirs = None
    if theirs is not None:
        tell(f"using the stack that runs over {data_dir}")
        yield theirs
        return
    # The example's paths are those of the clone or the wheel, wherever the caller stands.
    preload("services.demo_example")
    settings = read(flags={"data_dir": data_dir, "files": {"root": SHIPPED}})
    with console_progress() as on_progress:
        stack = start_stack(settings, data_dir=data_dir, on_progress=on_progress)
    with stack:
        yield _Running(stack.endpoints, stack)


def _tell_next(endpoints: Endpoints, *, ends: bool) -> None:
    if not ends:
        tell(
            f"\n  API       {endpoints.api}/docs\n"
            f"  tables    {endpoints.projector}/v1/tables\n"
            f"  registry  {endpoints.registry}/subjects\n"
            f"  Kafka     {endpoints.kafka}"
        )
    when = "once the stack runs again (flexcore dev)" if ends else "in another terminal"
    tell(
        f"\nTry next, {when}:\n"
        f"  {COMMAND} pipeline execute {EXAMPLE} --wait 30\n"
        f"  {COMMAND} events read pipeline/{EXAMPLE}\n"
        f"  {COMMAND} execution list -o json"
    )
