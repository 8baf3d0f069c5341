"""The handlers of a worker: those of the modules that its settings name, each name once."""

import importlib
from collections.abc import Iterable, Sequence

from agents.handlers import FOUND, Handler
from domain.errors import FlexCoreError, Invalid


def handlers_in(modules: Sequence[str]) -> list[Handler]:
    """Import the modules; the handlers in them and below them. Raises Invalid (`handler.invalid`)."""
    for name in modules:
        _import(name)
    found = [handler for module, handler in FOUND if _below(module, modules)]
    without = next((name for name in modules if not _has_one(name)), None)
    if without is not None:
        raise Invalid(
            "handler.invalid",
            f"module {without!r} has no handler; put @on(…) above a function of it, or take it"
            " out of FLEXCORE__HANDLERS__MODULES",
        )
    return found


def check_names(handlers: Iterable[Handler]) -> None:
    """Raises Invalid where two have one name: they would share a group, and halve its events."""
    known: dict[str, Handler] = {}
    for handler in handlers:
        other = known.setdefault(handler.name, handler)
        if other is not handler:
            raise handler.wrong(
                f"its name {handler.name!r} is that of {other.place}; give one of them another"
            )


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except FlexCoreError:
        raise
    # A module may fail in any way, `sys.exit()` included.
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")
        what = f"FLEXCORE__HANDLERS__MODULES: {name!r} cannot be imported"
        cause = f"{type(error).__name__}: {error}{_line(error)}"
        fix = (
            "is its folder in PYTHONPATH?" if missing else "mend it, or take it out of the setting"
        )
        told = {"what": what, "cause": cause, "fix": fix}
        raise Invalid("handler.invalid", f"{what}: {cause}; {fix}", **told) from error


def _line(error: BaseException) -> str:
    """Where in the module it went wrong: the innermost place."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or isinstance(error, ModuleNotFoundError):
        return ""
    return f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"


def _has_one(name: str) -> bool:
    return any(_below(module, [name]) for module, _ in FOUND)


def _below(module: str, names: Sequence[str]) -> bool:
    return any(f"{module}.".startswith(f"{name}.") for name in names)
