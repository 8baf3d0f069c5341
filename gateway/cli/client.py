"""The api over HTTP: JSON in and out; a problem becomes the error it was on the other side.

request ─► 2xx ─────────────► Reply
        ├► 429, 503, 504 ─► again with the same command id, for a while
        └► problem+json ────► FlexCoreError of its family
"""

import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2

from domain.errors import CODES, FlexCoreError, Invalid, Limited, Unavailable, Unknown
from gateway.cli.options import Write

CONNECT_S = 5.0
READ_S = 30.0
PATIENCE_S = 10.0
"""A killed worker's partitions are taken over within 8 s; whoever asks meanwhile should not notice."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_FAMILIES = {family.http_status: family for family in reversed(FlexCoreError.__subclasses__())}
"""Status → family, for codes of a newer release."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`body` is the JSON of a 2xx answer; `position` goes into a later read's `at_least`."""

    status: int
    body: Any
    position: str


class Api:
    """One base URL; `client` belongs to the caller."""

    def __init__(self, client: httpx2.Client, *, patience_s: float = PATIENCE_S) -> None:
        self._client = client
        self._patience_s = patience_s

    def get(self, path: str, *, at_least: str = "", **query: object) -> Reply:
        """Raises the family of the problem, Unavailable (`stack.not_running`)."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        headers = {"FlexCore-Min-Position": at_least} if at_least else {}
        return self._asked("GET", path, params=given, headers=headers)

    def write(
        self,
        method: str,
        path: str,
        body: object,
        how: Write,
        *,
        wait_s: float | None = None,
    ) -> Reply:
        """Send a command; raises what `get` raises. `wait_s` is how long to wait for its end."""
        assert not how.dry_run, "a dry run sends nothing"
        headers = {"Idempotency-Key": how.command_id or str(uuid.uuid4())}
        headers |= _conditions(how.expected_version)
        if wait_s is not None:
            headers["Prefer"] = f"wait={wait_s:.0f}"
        timeout = httpx2.Timeout(READ_S + (wait_s or 0), connect=CONNECT_S)
        return self._asked(method, path, json=body, headers=headers, timeout=timeout)

    def _asked(self, method: str, path: str, **request: Any) -> Reply:
        deadline = time.monotonic() + self._patience_s
        while True:
            answer = self._sent(method, path, request)
            if answer.is_success:
                return Reply(
                    answer.status_code, answer.json(), answer.headers.get("FlexCore-Position", "")
                )
            error = _error(answer)
            pause_s = _pause_s(answer)
            again = isinstance(error, Limited | Unavailable | Unknown)
            if not again or time.monotonic() + pause_s > deadline:
                raise error
            time.sleep(pause_s)

    def _sent(self, method: str, path: str, request: Mapping[str, Any]) -> httpx2.Response:
        base = str(self._client.base_url).rstrip("/")
        try:
            return self._client.request(method, path, **request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise Unavailable(
                "stack.not_running",
                f"nothing answers at {base}; start a stack with flexcore dev",
                what=f"nothing answers at {base}",
                cause=str(error) or "the connection was refused",
                fix="start a stack with `flexcore dev`, or look at `flexcore status`",
            ) from error
        except httpx2.TimeoutException as error:
            raise Unknown(
                "outcome.unknown", f"{base} did not answer in time; ask again with the same id"
            ) from error
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise Unavailable("owner.unavailable", f"{base} broke off: {error}") from error


def connected(base_url: str) -> httpx2.Client:
    """A client; a machine's proxy is not asked for its own addresses. Raises Invalid."""
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL as error:
        raise Invalid("settings.invalid", f"{base_url!r} is no URL: {error}") from error
    if url.scheme not in ("http", "https"):
        raise Invalid(
            "settings.invalid", f"{base_url!r} is no URL; it starts with http:// or https://"
        )
    return httpx2.Client(
        base_url=url,
        timeout=httpx2.Timeout(READ_S, connect=CONNECT_S),
        trust_env=url.host not in _LOOPBACK,
    )


def _conditions(expected: str | None) -> dict[str, str]:
    match expected:
        case None | "any":
            return {}
        case "none":
            return {"If-None-Match": "*"}
        case "exists":
            return {"If-Match": "*"}
        case number:
            return {"If-Match": f'"{number}"'}


def _error(answer: httpx2.Response) -> FlexCoreError:
    problem: dict[str, Any] = {}
    with suppress(ValueError):
        found = answer.json()
        problem = found if isinstance(found, dict) else {}
    code = str(problem.get("code") or "internal.error")
    family = CODES.get(code) or _FAMILIES.get(answer.status_code, FlexCoreError)
    detail = str(problem.get("detail") or f"{answer.url} answered {answer.status_code}")
    return family(code, detail, problems=_details(problem), trace_id=problem.get("trace_id"))


def _details(problem: Mapping[str, Any]) -> list[str]:
    """The single things that are wrong; none where the detail says it all."""
    found = problem.get("errors") or []
    return [
        f"{one['pointer']}: {one['detail']}" if one.get("pointer") else str(one["detail"])
        for one in found
    ]


def _pause_s(answer: httpx2.Response) -> float:
    text = answer.headers.get("Retry-After", "1")
    return float(text) if text.isdecimal() else 1.0
