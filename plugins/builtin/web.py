"""What steps fetch from the web: one GET, the whole answer, bounded. plugins/web.py has the rules."""

import http.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plugins.steps import StepFailed
from plugins.web import Request, Rules, answered

MAX_BODY_BYTES = 10 * 1024**2
_WHOLE_S = 30.0
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    charset: str
    location: str


def get(url: str, headers: Mapping[str, str], hosts: Sequence[str]) -> Answer:
    """What the address answers, whatever its status; `hosts` may be reached wherever they are.

    Raises `StepFailed`: `plugin.bad_config`, `http.forbidden`, `http.unavailable`, `http.too_large`.
    """
    rules = Rules(hosts=hosts, setting="FLEXCORE__STEPS__HTTP_HOSTS", whole_s=_WHOLE_S)
    with answered(Request(method="GET", url=url, headers=headers), rules) as response:
        return Answer(
            status=response.status,
            body=_whole(response),
            charset=response.headers.get_content_charset("utf-8"),
            location=response.headers.get("Location", ""),
        )


def _whole(response: http.client.HTTPResponse) -> bytes:
    body = bytearray()
    while piece := response.read1(_PIECE_BYTES):
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise StepFailed(
                "http.too_large", f"the answer has more than {MAX_BODY_BYTES // 1024**2} MiB"
            )
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(body)
