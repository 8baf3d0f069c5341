"""Signatures as Standard Webhooks 1.0 has them (standardwebhooks.com): HMAC-SHA256, in base64.

webhook-id         the event's id, the same however often it is sent
webhook-timestamp  when this attempt was made, seconds since 1970
webhook-signature  v1,<base64 of HMAC-SHA256(key, "<id>.<timestamp>.<body>")>, one for each key
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
MIN_KEY_BYTES = 24
MAX_KEY_BYTES = 64
MAX_KEYS = 5
"""A change of keys needs two."""


def keys_in(text: str) -> tuple[bytes, ...]:
    """The keys in a secret's text, `whsec_<base64>`, one a line. Raises ValueError without the text."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not 1 <= len(lines) <= MAX_KEYS:
        raise ValueError(f"it has {len(lines)} lines; 1 to {MAX_KEYS} are needed, {PREFIX}<base64>")
    return tuple(_key(line) for line in lines)


def _key(line: str) -> bytes:
    if not line.startswith(PREFIX):
        raise ValueError(f"a line does not start with {PREFIX}")
    try:
        key = base64.b64decode(line.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        # What b64decode says may repeat the text.
        raise ValueError(f"what follows {PREFIX} is no base64") from None
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError(
            f"a key has {len(key)} bytes; {MIN_KEY_BYTES} to {MAX_KEY_BYTES} are needed"
        )
    return key


def signed_headers(
    keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The three headers of a message."""
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = (hmac.new(key, content, hashlib.sha256).digest() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(s).decode()}" for s in signatures),
    }
