"""An error as people read it: `error[<code>]: what`, `cause:`, `fix:`."""

from collections.abc import Sequence

from domain.errors import FlexCoreError

_FIXES = {
    "stack.not_running": "start one with `flexcore dev`",
    "topics.wrong": "run `flexcore topics list`, then `flexcore topics apply`",
    "pipeline.not_found": "see `flexcore pipeline list`",
    "execution.not_found": "see `flexcore execution list`",
    "table.not_found": "see `flexcore table list`",
    "settings.invalid": "correct it; `flexcore config list` shows every setting",
    "settings.unknown": "see `flexcore config list`",
    "schema.not_found": "see `flexcore schema list`",
    "schema.incompatible": "see `flexcore schema check`, which says what to do about each",
    "aggregate.version_conflict": "read it again, then decide with the version it has now",
    "internal.error": "look into the logs of the data folder, and report it",
}
_BY_EXIT_CODE = {
    3: "check the id",
    4: "read it again, then decide with the version it has now",
    5: "ask whoever may do this",
    6: "try again in a moment; `flexcore status` shows what is away",
    7: "correct the request and send it again",
}


def explained(error: FlexCoreError) -> str:
    """Three parts, each on lines of its own; `cause` is left out where the error says it all."""
    what, cause, fix = parts_of(error)
    lines = [f"error[{error.code}]: {what}"]
    lines += [f"cause: {line}" for line in cause]
    return "\n".join([*lines, f"fix:   {fix}"])


def usage(message: str) -> str:
    """The same for a command line that cannot be understood."""
    return f"error[usage]: {message.strip()}\nfix:   add --help to see what the command takes"


def parts_of(error: FlexCoreError) -> tuple[str, Sequence[str], str]:
    """What was, the causes, and what to do about it."""
    fields = error.fields
    if {"what", "cause", "fix"} <= fields.keys():
        return str(fields["what"]), [str(fields["cause"])], str(fields["fix"])
    usual = _FIXES.get(error.code) or _BY_EXIT_CODE.get(error.exit_code, "see --help")
    details = fields.get("problems")
    if isinstance(details, list) and details:
        # The message of such an error is its details in one line.
        return (
            f"{len(details)} {'thing is' if len(details) == 1 else 'things are'} wrong",
            [str(one) for one in details],
            usual,
        )
    # Messages say what was, what is required and what to do, in this order.
    what, *others = error.message.split("; ")
    if len(others) > 2:
        return error.message, [], usual
    return what, others[:-1], others[-1] if others else usual
