"""The query bus: a question is a dataclass, its type names the one handler that answers it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Handler = Callable[[Any], Awaitable[Any]]


class QueryBus:
    """`handlers` is the table of contents of what can be asked."""

    def __init__(self, handlers: Mapping[type, Handler]) -> None:
        self._handlers = dict(handlers)

    async def ask(self, query: object) -> Any:
        """The answer to `query`. Raises LookupError for a question nobody here answers."""
        handler = self._handlers.get(type(query))
        if handler is None:
            raise LookupError(f"no handler answers {type(query).__name__}")
        return await handler(query)
