"""Webhooks: signed as the standard says, and judged by what is answered, however it is answered."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from agents.handlers import HandlerFailed
from agents.webhook_signature import keys_in, signed_headers
from agents.webhooks import Webhook, check
from domain.execution.messages import ExecutionFailed
from tests.agents.events import event
from tests.agents.receiver import answering, dripping, flooding, receiving

KEY = b"k" * 24


def webhook(place: str, **changed: Any) -> Webhook:
    return Webhook(
        **{
            "name": "ops",
            "url": f"http://{place}/hook",
            "types": frozenset({ExecutionFailed}),
            "keys": (KEY,),
            "hosts": (place,),
            "timeout_s": 5.0,
            **changed,
        }
    )


def refused(of: Webhook) -> HandlerFailed:
    with pytest.raises(HandlerFailed) as caught:
        of.post(event())
    return caught.value


# ── the signature ────────────────────────────────────────────────────────────────────────


def test_the_signature_is_that_of_the_standards_own_test() -> None:
    """standard-webhooks/standard-webhooks, libraries/javascript/src/webhook.test.ts, "sign function works"."""
    keys = keys_in("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signed_headers(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_each_key_signs_so_that_keys_can_be_changed() -> None:
    old, new = (f"whsec_{base64.b64encode(key * 24).decode()}" for key in (b"o", b"n"))
    keys = keys_in(f"{new}\n{old}\n")
    assert keys == (b"n" * 24, b"o" * 24)
    signatures = signed_headers(keys, "i", 1, b"{}")["webhook-signature"].split(" ")
    assert signatures == [signed_headers([key], "i", 1, b"{}")["webhook-signature"] for key in keys]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_not base64 at all, however long it is!",
        f"whsec_{base64.b64encode(b'x' * 65).decode()}",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n" * 6,
    ],
)
def test_what_is_no_secret_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        keys_in(text)
    told = text.strip().removeprefix("whsec_")
    assert not told or told not in str(caught.value)


# ── what is sent ─────────────────────────────────────────────────────────────────────────


def test_the_event_is_posted_and_the_receiver_can_check_it() -> None:
    with receiving() as receiver:
        webhook(receiver.place).post(event(3))
    (posted,) = receiver.got
    assert posted.path == "/hook"
    assert json.loads(posted.body) == event(3).json()
    assert posted.headers["Content-Type"] == "application/json"
    assert posted.headers["webhook-id"] == "e3"
    at = posted.headers["webhook-timestamp"]
    assert abs(int(at) - time.time()) < 60
    signed = hmac.new(KEY, f"e3.{at}.".encode() + posted.body, hashlib.sha256).digest()
    assert posted.headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"


def test_a_webhook_does_not_show_its_keys() -> None:
    assert "kkk" not in repr(webhook("127.0.0.1:1"))


# ── what is made of the answer ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_done(status: int) -> None:
    check(status)


@pytest.mark.parametrize(
    ("status", "again"),
    [
        *((status, True) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        *((status, False) for status in (101, 301, 302, 304, 307, 308, 400, 401, 404, 410, 600)),
    ],
)
def test_what_may_help_is_tried_again_and_nothing_else(status: int, *, again: bool) -> None:
    with pytest.raises(HandlerFailed, match=str(status)) as caught:
        check(status)
    assert caught.value.retryable is again


def test_retry_after_is_a_number_or_a_date() -> None:
    def after(text: str) -> float | None:
        with pytest.raises(HandlerFailed) as caught:
            check(503, retry_after=text)
        return caught.value.after_s

    assert after("120") == 120.0
    soon = after(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))
    assert soon is not None
    assert 80 < soon < 91
    assert [after(text) for text in ("", "soon", "-5", "1.5", "٣", "\x00")] == [None] * 6
    assert after("9" * 400) == 999_999_999.0


def test_a_redirect_is_told_and_not_followed() -> None:
    with receiving() as receiver, receiving() as other:
        receiver.answers = [(302, {"Location": f"{other.url}/elsewhere"})]
        failed = refused(webhook(receiver.place))
    assert (len(receiver.got), other.got) == (1, [])
    assert (failed.retryable, "/elsewhere" in failed.message) == (False, True)


def test_a_server_that_is_busy_says_when_to_come_again() -> None:
    with receiving() as receiver:
        receiver.answers = [(500, {}), (429, {"Retry-After": "7"})]
        first, second = (refused(webhook(receiver.place)) for _ in range(2))
        webhook(receiver.place).post(event())
    assert (first.retryable, first.after_s) == (True, None)
    assert (second.retryable, second.after_s) == (True, 7.0)
    assert {posted.headers["webhook-id"] for posted in receiver.got} == {"e1"}


def test_headers_that_never_end_are_cut_and_tried_again() -> None:
    with answering(dripping(b"HTTP/1.1 200 OK\r\nX: ")) as place:
        before = time.monotonic()
        failed = refused(webhook(place, timeout_s=0.5))
        assert time.monotonic() - before < 5
    assert failed.retryable


@pytest.mark.parametrize("kind", [dripping, flooding])
def test_a_body_that_never_ends_is_not_waited_for(kind: Any) -> None:
    with answering(kind(b"HTTP/1.1 200 OK\r\n\r\n")) as place:
        before = time.monotonic()
        webhook(place, timeout_s=30.0).post(event())
        assert time.monotonic() - before < 5


def test_headers_without_end_are_not_kept() -> None:
    with answering(flooding(b"HTTP/1.1 200 OK\r\nX: ")) as place:
        assert refused(webhook(place)).retryable


def test_who_is_not_there_is_tried_again() -> None:
    assert refused(webhook("127.0.0.1:1")).retryable


def test_an_address_of_a_private_network_is_refused_unless_it_is_allowed() -> None:
    with receiving() as receiver:
        failed = refused(webhook(receiver.place, hosts=()))
    assert receiver.got == []
    assert not failed.retryable
    assert f"FLEXCORE__HANDLERS__WEBHOOK_HOSTS={receiver.place}" in failed.message
