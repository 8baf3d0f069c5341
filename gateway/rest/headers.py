"""What the headers of a request mean, and those of an answer.

Idempotency-Key → command id      If-Match, If-None-Match → expected version
FlexCore-Min-Position, Prefer: wait=N → freshness         ETag, FlexCore-Position ← version, position
"""

import re
from typing import Annotated

from fastapi import Depends, Header, Request

from domain.errors import Invalid
from gateway.services.asked import Asked, Caller, Freshness, command_id_of
from gateway.services.read_models import Written
from streams.positions import parse_position
from streams.records import ANY, ExpectedVersion, parse_expected_version

READ_WAIT_S = 5.0
MAX_WAIT_S = 300.0
"""Proxies give up a silent connection after a minute or five."""

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])")
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

IdempotencyKey = Annotated[
    str | None,
    Header(description="The command's id: the same key and content take effect once in 7 days."),
]
IfMatch = Annotated[
    str | None, Header(description='The version that must be the last one: `"7"`, or `*` = exists.')
]
IfNoneMatch = Annotated[str | None, Header(description="`*`: it must not exist yet.")]
Prefer = Annotated[
    str | None, Header(description="`wait=N`: seconds to wait for the read model, or a run's end.")
]
MinPosition = Annotated[
    str | None,
    Header(alias="FlexCore-Min-Position", description="Answer from a read model that has this."),
]


async def caller() -> Caller:
    """Who calls; there are no tokens yet, so it is nobody, of the default tenant."""
    return Caller()


async def asked(
    request: Request,
    by: Annotated[Caller, Depends(caller)],
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
    prefer: Prefer = None,
) -> Asked:
    """How a write is asked for. Raises Invalid."""
    return Asked(
        caller=by,
        command_id=command_id_of(unquoted(idempotency_key), by),
        expected=expected_version(if_match, if_none_match),
        wait_s=wait_of(prefer),
        traceparent=traceparent_of(request.headers.get("traceparent")),
    )


async def freshness(
    flexcore_min_position: MinPosition = None, prefer: Prefer = None
) -> Freshness | None:
    """How fresh a read must be, `None` where anything will do. Raises Invalid."""
    if flexcore_min_position is None:
        return None
    wait_s = wait_of(prefer)
    return Freshness(
        parse_position(flexcore_min_position), READ_WAIT_S if wait_s is None else wait_s
    )


def unquoted(key: str | None) -> str | None:
    """An idempotency key without the quotes of a structured header."""
    if key is None:
        return None
    key = key.strip()
    quoted = len(key) >= 2 and key[0] == key[-1] == '"'
    return key[1:-1] if quoted else key


def expected_version(if_match: str | None, if_none_match: str | None) -> ExpectedVersion:
    """The version a write wants to find. Raises Invalid."""
    if if_match is not None and if_none_match is not None:
        raise Invalid(
            "command.invalid_expected_version",
            "If-Match and If-None-Match exclude each other; use one of them",
        )
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise Invalid(
                "command.invalid_expected_version", "If-None-Match of a write can only be *"
            )
        return ExpectedVersion("none")
    if if_match is None:
        return ANY
    if if_match.strip() == "*":
        return ExpectedVersion("exists")
    version = unquoted(if_match) or ""
    if not version.isdecimal():
        raise Invalid(
            "command.invalid_expected_version",
            f'If-Match is {if_match[:40]!r}; it must be one ETag as it was given, such as "7", or *',
        )
    return parse_expected_version(version)


def wait_of(prefer: str | None) -> float | None:
    """The seconds of `Prefer: wait=N`; a preference that makes no sense is none (RFC 7240)."""
    found = _WAIT.search(prefer or "")
    return min(float(found[1]), MAX_WAIT_S) if found else None


def traceparent_of(header: str | None) -> str | None:
    """A W3C traceparent, or `None` for what is none."""
    return header if header and TRACEPARENT.fullmatch(header) else None


def write_headers(written: Written) -> dict[str, str]:
    """`ETag` and `FlexCore-Position` of a write's answer, as far as there are any."""
    found = {}
    if written.version is not None:
        found["ETag"] = etag(written.version)
    if written.answer.position:
        found["FlexCore-Position"] = written.answer.position
    return found


def etag(version: int) -> str:
    return f'"{version}"'
