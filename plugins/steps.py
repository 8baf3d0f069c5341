"""What a step is: `run(config, context) -> output`, with `StepFailed` for what it can explain."""

from collections.abc import Callable
from dataclasses import dataclass

from plugins.blob_store import BlobStore
from plugins.files import Files


class StepFailed(Exception):
    """A failure the step understands: a code, what to tell the user, and whether to try again."""

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step may reach: its tenant's blobs, the files under the root, the data database.

    `run`, `step`, `attempt` are the parts of the idempotency key; `data_url()` reads the secret when
    it is needed and raises `StepFailed` where none is configured.
    """

    tenant: str
    run: str
    step: str
    attempt: int
    blobs: BlobStore
    files: Files
    data_url: Callable[[], str]


Config = dict[str, object]
Output = dict[str, object]
Step = Callable[[Config, StepContext], Output]
