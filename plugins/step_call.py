"""What is asked of the plugin host, and how it ends.

`StepCall → Succeeded | Failed`; cancelled calls end in neither.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import orjson

MAX_OUTPUT_BYTES = 32 * 1024
"""An output stands in an event as JSON text of at most this size; larger values are blobs."""

_KEY = re.compile(r"(?P<run>[^/]{1,255})/(?P<step>[^/]{1,255})/(?P<attempt>\d{1,9})")


@dataclass(frozen=True, slots=True)
class StepCall:
    """One attempt of one step of one run; `config` is the step's `with`, rendered.

    `key` = `execution/step/attempt` is the idempotency key, `timeout_s` counts from the moment a
    child takes the call. A key of another form raises `ValueError`.
    """

    key: str
    uses: str
    config: Mapping[str, object]
    timeout_s: float | None
    tenant: str

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise ValueError(f"key {self.key!r}; 'execution/step/attempt' is required")


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The step's output, as the JSON text (an object, ≤ 32 KiB) that goes into its event."""

    output_json: str
    duration_s: float

    @property
    def output(self) -> dict[str, object]:
        return cast(dict[str, object], orjson.loads(self.output_json))


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no output; `retryable` says whether the same call may end better later."""

    code: str
    message: str
    duration_s: float
    retryable: bool


StepResult = Succeeded | Failed


def parts_of(key: str) -> tuple[str, str, int]:
    """Run, step and attempt of a key; raises `ValueError` for another form."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"key {key!r}; 'execution/step/attempt' is required")
    return match["run"], match["step"], int(match["attempt"])
