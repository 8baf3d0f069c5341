"""Webhooks: handlers that post an event as JSON, signed, to an address.

| answer                                   | then                                                   |
|------------------------------------------|--------------------------------------------------------|
| 2xx                                      | done                                                   |
| 408, 425, 429, 5xx, none within the time | tried again, after what `Retry-After` says             |
| any other, redirects included            | given up at once: dead letter                          |

Status and headers are read and nothing else: what else somebody answers is not waited for.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson

from agents.handlers import MAX_WAIT_S, Event, Handler, HandlerFailed
from agents.webhook_signature import signed_headers
from plugins.steps import StepFailed
from plugins.web import Request, Rules, answered

ATTEMPTS = 10
"""Five minutes with the usual waits: a receiver that is installed anew is back."""
TIMEOUT_S = 10.0
LONGEST_S = 60.0
SETTING = "FLEXCORE__HANDLERS__WEBHOOK_HOSTS"
_CONNECT_S = 30.0
"""For a name server that is slow, before the request's own time begins."""
_AGAIN = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """`keys` sign; `hosts` may be reached wherever they are."""

    name: str
    url: str
    types: frozenset[type]
    keys: tuple[bytes, ...] = field(repr=False)
    hosts: Sequence[str] = ()
    timeout_s: float = TIMEOUT_S
    attempts: int = ATTEMPTS
    from_start: bool = False

    def handler(self) -> Handler:
        """Raises Invalid (`handler.invalid`)."""
        return Handler(
            name=self.name,
            place=f"webhook {self.name[:110]!r}",
            call=self._call,
            types=self.types,
            from_start=self.from_start,
            attempts=self.attempts,
            max_wait_s=MAX_WAIT_S,
            timeout_s=self.timeout_s + _CONNECT_S,
        )

    async def _call(self, event: Event) -> None:
        await asyncio.to_thread(self.post, event)

    def post(self, event: Event) -> None:
        """Send an event; blocks. Raises HandlerFailed."""
        body = orjson.dumps(event.json(), option=orjson.OPT_UTC_Z)
        headers = {
            "Content-Type": "application/json",
            **signed_headers(self.keys, event.id, int(time.time()), body),
        }
        request = Request(method="POST", url=self.url, headers=headers, body=body)
        rules = Rules(hosts=self.hosts, setting=SETTING, whole_s=self.timeout_s)
        try:
            with answered(request, rules) as response:
                status, told = response.status, response.headers
        except StepFailed as error:
            # Also for a certificate that has expired: somebody may renew it meanwhile.
            raise HandlerFailed(
                error.message, retryable=error.code == "http.unavailable"
            ) from error
        check(status, told.get("Location", ""), told.get("Retry-After", ""))


def check(status: int, location: str = "", retry_after: str = "") -> None:
    """Raises HandlerFailed for an answer that is no 2xx."""
    if 200 <= status < 300:
        return
    said = f"it answered {status}"
    if 300 <= status < 400:
        said += f" and points to {location[:200]!r}; redirects are not followed"
    again = status in _AGAIN or 500 <= status < 600
    raise HandlerFailed(said, retryable=again, after_s=_seconds(retry_after) if again else None)


def _seconds(retry_after: str) -> float | None:
    """Of a `Retry-After`, a number or a date; `None` where it says neither."""
    if retry_after.isascii() and retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        at = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return (at - datetime.now(UTC)).total_seconds()
