"""The command line's entry: which word leads to which file; everything is imported when it is asked for.

flexcore NOUN VERB ─► COMMANDS ─► gateway/cli/<noun>.py │ services/stack_commands.py
                          └─ an error ─► `error[<code>]: …` on stderr and the exit code of its family
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.errors import FlexCoreError

if TYPE_CHECKING:
    from cyclopts import App

USAGE = 2
INTERRUPTED = 130

ABOUT = "FlexCore runs data pipelines on Kafka: every step durable, replayable and readable."


@dataclass(frozen=True, slots=True)
class Command:
    """A first word of the command line, and the module and name it stands for."""

    name: str
    target: str
    help: str


COMMANDS = (
    Command("demo", "services.stack_commands:demo", "Start everything and run a real pipeline."),
    Command("dev", "services.stack_commands:dev", "Run the whole stack on this machine."),
    Command("stop", "services.stack_commands:stop", "End the stack that runs over a data folder."),
    Command("status", "services.stack_commands:status", "Show where the parts of the stack are."),
    Command("api", "services.stack_commands:api", "Run one api process."),
    Command("worker", "services.stack_commands:worker", "Run one worker process."),
    Command("projector", "services.stack_commands:projector", "Run one projector process."),
    Command("topics", "gateway.cli.topics:app", "Make and check the topics."),
    Command("database", "services.database:app", "Make the tables of the read models."),
    Command("pipeline", "gateway.cli.pipeline:app", "Make pipelines and run them."),
    Command("execution", "gateway.cli.execution:app", "Look at runs of pipelines."),
    Command("events", "gateway.cli.events:app", "Read the event store."),
    Command("table", "gateway.cli.table:app", "Look into the Faust tables."),
    Command("bench", "benchmarks.app:app", "Measure what the stack does a second."),
    Command(
        "faults", "gateway.cli.faults:app", "Break a stack on purpose and check every promise."
    ),
    Command("doctor", "services.doctor:doctor", "Find out what is wrong, and what mends it."),
    Command("config", "gateway.cli.config:app", "Look at the settings in force."),
    Command("schema", "gateway.cli.schema:app", "Look at the Avro schemas."),
    Command("completion", "services.completion:completion", "Print a shell's completion script."),
)


def main() -> None:
    """Run the command line of this process and end it."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    # Drawn from the table alone: loading the parser takes longer than the rest of --help.
    if not arguments or list(arguments) in (["--help"], ["-h"]):
        print(_help())
        return 0
    try:
        return _run(arguments)
    except FlexCoreError as error:
        from gateway.cli.problems import explained

        print(explained(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has had enough (`| head`).
        _close_stdout()
        return 0


def _run(arguments: Sequence[str]) -> int:
    from cyclopts import CycloptsError

    from gateway.cli.problems import usage

    app = parser()
    try:
        result = app(
            list(arguments), exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        print(usage(str(error)), file=sys.stderr)
        return USAGE
    return result if isinstance(result, int) else 0


def parser() -> "App":
    """The parser of the whole command line; what a command needs is imported when it is asked for."""
    from cyclopts import App

    app = App(
        name="flexcore",
        help=ABOUT,
        help_format="plaintext",
        version=_version,
        suppress_keyboard_interrupt=False,
    )
    for command in COMMANDS:
        app.command(command.target, name=command.name, help=command.help)
    return app


def _help() -> str:
    lines = [f"  {command.name:<12} {command.help}" for command in COMMANDS]
    return "\n".join(
        [
            ABOUT,
            "",
            "Usage: flexcore COMMAND",
            "",
            *lines,
            "",
            "In a clone, ./flexcore also knows `test`, `check`, `fuzz`, `conformance` and `docs`.",
            "flexcore COMMAND --help says what a command takes; start with `flexcore demo`.",
        ]
    )


def _version() -> str:
    from services.installation import version

    return version()


def _close_stdout() -> None:
    """So that Python does not try to flush what nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
