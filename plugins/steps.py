"""What a step is: `run(config, context) -> output`, with `StepFailed` for what it can explain."""

from collections.abc import Callable
from dataclasses import dataclass

from plugins.blob_store import BlobStore
from plugins.files import Files
from plugins.outside import Outside


class StepFailed(Exception):
    """A failure the step understands: a code, what to tell the user, and whether to try again."""

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step may reach: its tenant's blobs, the files under the root, what lies outside.

    `run`, `step`, `attempt` are the parts of the idempotency key.
    """

    tenant: str
    run: str
    step: str
    attempt: int
    blobs: BlobStore
    files: Files
    outside: Outside


Config = dict[str, object]
Output = dict[str, object]
Step = Callable[[Config, StepContext], Output]
