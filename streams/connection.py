"""How to reach Kafka, for librdkafka and for Faust, from one set of settings."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

log = structlog.get_logger("flexcore.kafka")

QUIET_S = 60.0
"""Each client of a broker that is away says so twice a second; once in this time tells it all."""
_logged: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Connection:
    """`security` holds librdkafka names (`security.protocol`, `sasl.username` …)."""

    bootstrap: str
    security: Mapping[str, str] = field(default_factory=dict)

    def client(self, **settings: Any) -> dict[str, Any]:
        """A librdkafka configuration; `_` in names stands for `.`.

        `error_cb` is always set: a wrong password or plaintext to a TLS port shows nowhere else.
        """
        named = {name.replace("_", "."): value for name, value in settings.items()}
        return {
            "bootstrap.servers": self.bootstrap,
            "error_cb": _log_error,
            "log_level": 0,
            # The default of 10 s makes whatever follows a broken connection wait for seconds.
            "reconnect.backoff.max.ms": 500,
            **self.security,
            **named,
        }


def _log_error(error: Any) -> None:
    now = time.monotonic()
    # That all brokers are down comes after why each of them is.
    if error.name() != "_ALL_BROKERS_DOWN" and now - _logged.get(error.name(), -QUIET_S) >= QUIET_S:
        _logged[error.name()] = now
        log.warning("kafka_client_error", code=error.name(), what=error.str())
