"""Logs: one event name with fields, JSON lines in files and pipes, readable on a terminal."""

import logging
import sys
import time
from typing import Any

import structlog

QUIET = ("aiokafka", "faust", "mode", "asyncio", "kafka", "httpx2", "httpcore2", "uvicorn.access")
"""Libraries that write a record per event, or thousands a minute while the broker is away."""
REPEAT_AFTER_S = 60.0
"""An outage lasts minutes: with a broker away three libraries would tell of it 50 times in each."""


class Outage:
    """Tells of something that is away: at once, then once a minute, and when it is back.

    Held by whoever tries again and again; `event` is the name under which it is logged.
    """

    def __init__(self, log: Any, event: str) -> None:
        self._log = log
        self._event = event
        self._since: float | None = None
        self._told = 0.0

    def goes_on(self, **fields: object) -> None:
        """Another attempt has failed."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif now - self._told < REPEAT_AFTER_S:
            return
        self._told = now
        self._log.warning(self._event, for_s=round(now - self._since), **fields)

    def is_over(self) -> None:
        """An attempt has succeeded; may be called again."""
        if self._since is not None:
            self._log.info(f"{self._event}_no_more", for_s=round(time.monotonic() - self._since))
            self._since = None


class _Repeats(logging.Filter):
    """Lets the same library message through once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, Any], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("flexcore"):
            return True
        key, now = (record.name, record.msg), time.monotonic()
        if now - self._seen.get(key, -REPEAT_AFTER_S) < REPEAT_AFTER_S:
            return False
        if len(self._seen) > 1_000:
            self._seen.clear()
        self._seen[key] = now
        return True


def configure(service: str, level: int = logging.INFO) -> None:
    """Send everything of this process to stderr."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _logger, _method, fields: {"service": service, **fields},
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer()]
        if sys.stderr.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Repeats())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
