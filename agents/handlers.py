"""Handlers of events: functions of whoever runs FlexCore, which a worker calls for committed events.

    @on("ExecutionFailed", "ExecutionCompleted")
    async def tell(event: Event) -> None: ...

Each has a consumer group of its own: at least once, in order per aggregate. What fails again and
again becomes a dead letter (agents/handler_calls.py).
"""

import difflib
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.contexts import CONTEXTS
from domain.errors import Invalid
from schemas import catalogue

ATTEMPTS = 5
FIRST_WAIT_S = 1.0
MAX_WAIT_S = 60.0
TIMEOUT_S = 30.0
"""Waits of 1, 2, 4 and 8 s: a place that restarts is back, and its partition does not wait a minute."""
MOST_ATTEMPTS = 100
LONGEST_S = 3_600.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""A part of the group's name; broker and metrics take these characters as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A committed event in the shape of `GET …/events`; `body` is the same as its dataclass.

    `type` is the short name, ids are those of the tenant, `time` is RFC 3339. `id` is the same
    whenever the event is delivered again.
    """

    id: str
    type: str
    context: str
    aggregate_id: str
    version: int
    time: str
    tenant_id: str
    actor_id: str
    command_id: str
    correlation_id: str
    causation_id: str
    position: str
    data: Mapping[str, Any]
    body: Any = field(repr=False)

    def json(self) -> dict[str, Any]:
        """The event as it is shown to others."""
        return {name: getattr(self, name) for name in _SHOWN}


_SHOWN = tuple(name for name in Event.__slots__ if name != "body")

Call = Callable[[Event], Awaitable[None]]


class HandlerFailed(Exception):
    """A failure that the handler understands: whether to try again, and in how many seconds.

    Any other exception is tried again after the usual wait.
    """

    def __init__(
        self, message: str, *, retryable: bool = True, after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable
        self.after_s = after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """Who is called for which events, and how often; `place` says where it was written."""

    name: str
    place: str
    call: Call
    types: frozenset[type]
    from_start: bool = False
    attempts: int = ATTEMPTS
    first_wait_s: float = FIRST_WAIT_S
    max_wait_s: float = MAX_WAIT_S
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        """Raises Invalid (`handler.invalid`)."""
        if _NAME.fullmatch(self.name) is None:
            raise self.wrong(f"its name {self.name[:110]!r} must be 1 to 100 of A-Z a-z 0-9 _ -")
        if not self.types:
            raise self.wrong("it names no event; name at least one")
        if not 1 <= self.attempts <= MOST_ATTEMPTS:
            raise self.wrong(f"attempts is {self.attempts}; it must be 1 to {MOST_ATTEMPTS}")
        for name in ("first_wait_s", "max_wait_s", "timeout_s"):
            if not 0 < getattr(self, name) <= LONGEST_S:
                raise self.wrong(
                    f"{name} is {getattr(self, name)}; it must be more than 0, at most {LONGEST_S:g}"
                )

    def wrong(self, what: str) -> Invalid:
        """The error about this handler."""
        return Invalid("handler.invalid", f"handler {self.place}: {what}", handler=self.name)

    @property
    def contexts(self) -> frozenset[str]:
        """Whose topics it reads."""
        return frozenset(
            name for name, context in CONTEXTS.items() if self.types & {*context.events}
        )


FOUND: list[tuple[str, Handler]] = []
"""(module, handler) of every `@on` that was run, in this process."""


def on(
    *events: str | type,
    name: str | None = None,
    from_start: bool = False,
    attempts: int = ATTEMPTS,
    first_wait_s: float = FIRST_WAIT_S,
    max_wait_s: float = MAX_WAIT_S,
    timeout_s: float = TIMEOUT_S,
) -> Callable[[Call], Call]:
    """Call the function below for these events, by name or by class; it stays what it was.

    `name` (the function's, unless given) names the group, so it keeps the place in the log: a new
    name starts at the end, or `from_start` at the first event. A call that fails or takes longer
    than `timeout_s` is repeated after `first_wait_s`, then twice as long each time, `max_wait_s` at
    most; after `attempts` calls the event becomes a dead letter.
    Raises Invalid (`handler.invalid`).
    """

    def found(call: Call) -> Call:
        module = str(getattr(call, "__module__", ""))
        own = str(getattr(call, "__name__", type(call).__name__))
        place = f"{module}.{own}"
        if not inspect.iscoroutinefunction(call):
            raise Invalid("handler.invalid", f"handler {place}: it must be an `async def`")
        handler = Handler(
            name=name or own,
            place=place,
            call=call,
            types=event_classes(events, f"handler {place}"),
            from_start=from_start,
            attempts=attempts,
            first_wait_s=first_wait_s,
            max_wait_s=max_wait_s,
            timeout_s=timeout_s,
        )
        FOUND.append((module, handler))
        return call

    return found


def event_classes(events: tuple[str | type, ...], place: str) -> frozenset[type]:
    """The classes of events by class, by name, or by name with the context. Raises Invalid."""
    classes: list[type] = [cls for context in CONTEXTS.values() for cls in context.events]
    known: dict[str | type, type] = {cls: cls for cls in classes}
    known |= {catalogue.full_names()[cls]: cls for cls in classes}
    known |= {cls.__name__: cls for cls in classes}
    for event in events:
        if event not in known:
            names = [cls.__name__ for cls in classes]
            told = event if isinstance(event, str) else getattr(event, "__name__", repr(event))
            near = difflib.get_close_matches(told, names, n=1, cutoff=0.0)[0]
            raise Invalid(
                "handler.invalid",
                f"{place}: there is no event {told[:80]!r}; the nearest is {near}",
            )
    return frozenset(known[event] for event in events)
