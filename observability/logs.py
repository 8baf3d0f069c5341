"""Logs: one event name with fields, JSON lines in files and pipes, readable on a terminal."""

import logging
import sys
import time
from typing import Any

import structlog

QUIET = ("aiokafka", "faust", "mode", "asyncio", "kafka", "httpx2", "httpcore2", "uvicorn.access")
"""Libraries that write a record per event, or thousands a minute while the broker is away."""
REPEAT_AFTER_S = 10.0


class _Repeats(logging.Filter):
    """Lets the same library message through once in ten seconds."""

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
