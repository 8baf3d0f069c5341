"""The webhooks file: which events are posted where, in YAML.

webhooks:
  - name: ops
    url: https://hooks.example.com/flexcore
    events: [ExecutionFailed, ExecutionCompleted]
    secret_file: ops.secret      relative to this file
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from agents.handlers import Handler, event_classes
from agents.webhook_signature import keys_in
from agents.webhooks import ATTEMPTS, LONGEST_S, TIMEOUT_S, Webhook
from domain.errors import FlexCoreError, Invalid
from gateway.pipeline_file import plain_data
from gateway.strict import Int32, Strict, checked
from plugins.steps import StepFailed
from plugins.web import checked_url

CODE = "handler.invalid"
_SETTING = "FLEXCORE__HANDLERS__WEBHOOKS_FILE"
MAX_SECRET_BYTES = 4_096


class WebhookIn(Strict):
    """One webhook; `from_start` posts all events there ever were, at its first start."""

    name: str
    url: str
    events: Annotated[list[str], Field(min_length=1)]
    secret_file: str
    timeout_s: Annotated[float, Field(gt=0, le=LONGEST_S)] = TIMEOUT_S
    attempts: Int32 = ATTEMPTS
    from_start: bool = False


class WebhooksFile(Strict):
    webhooks: list[WebhookIn]


def read_webhooks(path: Path, hosts: tuple[str, ...]) -> list[Handler]:
    """The webhooks as handlers; `hosts` may be reached wherever they are. Raises Invalid."""
    try:
        found = checked(WebhooksFile, plain_data(path.read_bytes()), code=CODE)
    except OSError as error:
        raise Invalid(CODE, f"{_SETTING} names a file that cannot be read: {error}") from error
    except FlexCoreError as error:
        raise Invalid(CODE, f"{_SETTING}: {path}: {error.message}") from error
    return [_handler(one, path.parent, hosts) for one in found.webhooks]


def _handler(one: WebhookIn, folder: Path, hosts: tuple[str, ...]) -> Handler:
    place = f"webhook {one.name[:110]!r}"
    try:
        checked_url(one.url)
    except StepFailed as error:
        raise Invalid(CODE, f"{place}: {error.message}") from error
    return Webhook(
        name=one.name,
        url=one.url,
        types=event_classes(tuple(one.events), place),
        keys=_keys(folder / one.secret_file, place),
        hosts=hosts,
        timeout_s=one.timeout_s,
        attempts=one.attempts,
        from_start=one.from_start,
    ).handler()


def _keys(path: Path, place: str) -> tuple[bytes, ...]:
    """No message holds what stands in the file."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SECRET_BYTES).decode("ascii")
    except OSError as error:
        raise Invalid(CODE, f"{place}: its secret_file cannot be read: {error}") from error
    except UnicodeDecodeError:
        raise Invalid(CODE, f"{place}: its secret_file {path} is no text") from None
    try:
        return keys_in(text)
    except ValueError as error:
        raise Invalid(CODE, f"{place}: its secret_file {path}: {error}") from None
