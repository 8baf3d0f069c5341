"""Who asks, and how: what every door says beside the command or query itself."""

import uuid
from dataclasses import dataclass

from domain.errors import Invalid, NotFound
from streams.positions import Position
from streams.records import ANONYMOUS, ANY, DEFAULT_TENANT, NAMESPACE, ExpectedVersion

MAX_ID_BYTES = 128
"""The owner answers no key over 255 bytes; a tenant's name must fit in front of an id."""
MAX_IDEMPOTENCY_KEY = 255


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf something is done; without a token that is nobody, of the default tenant."""

    tenant: str = DEFAULT_TENANT
    actor: str = ANONYMOUS

    @property
    def prefix(self) -> str:
        """What stands before a local id in an aggregate id."""
        return "" if self.tenant == DEFAULT_TENANT else f"{self.tenant}~"

    def new_id(self, context: str, local_id: str) -> str:
        """The aggregate id that a command goes to. Raises Invalid for an id that cannot be one."""
        if not self._fits(local_id):
            raise Invalid(
                f"{context}.invalid_id",
                f"{local_id[:80]!r} is no id of a {context}; it is 1 to {MAX_ID_BYTES} bytes "
                "without ~",
            )
        return self.prefix + local_id

    def known_id(self, context: str, local_id: str) -> str:
        """The aggregate id that a query names. Raises NotFound for one that nothing can have."""
        if not self._fits(local_id):
            raise NotFound(f"{context}.not_found", f"there is no {context} {local_id[:80]!r}")
        return self.prefix + local_id

    def owns(self, aggregate_id: str) -> bool:
        """Whether an aggregate is of the caller's tenant."""
        tenant, tilde, _ = aggregate_id.rpartition("~")
        return tenant == self.tenant if tilde else self.tenant == DEFAULT_TENANT

    def local_id(self, aggregate_id: str) -> str:
        """An aggregate id of this tenant as the caller knows it."""
        return aggregate_id.removeprefix(self.prefix)

    @staticmethod
    def _fits(local_id: str) -> bool:
        # ~ parts tenant and local id: with it, an id would reach into another tenant. Dots alone
        # would be taken out of a path on the way to the owner.
        return (
            local_id not in ("", ".", "..")
            and "~" not in local_id
            and _utf8_bytes(local_id) <= MAX_ID_BYTES
        )


def _utf8_bytes(value: str) -> int:
    return len(value.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a command is asked for.

    `wait_s`: how long the read model (or the end of a run) is waited for after the answer; `None`
    leaves it to the service. `timeout_s`: how long the answer itself is waited for.
    """

    caller: Caller
    command_id: str
    expected: ExpectedVersion = ANY
    wait_s: float | None = None
    timeout_s: float = 10.0
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Freshness:
    """A read that must include `position`, waited for up to `wait_s` seconds."""

    position: Position
    wait_s: float


def command_id_of(key: str | None, caller: Caller) -> str:
    """The command id an idempotency key stands for; a new one without a key. Raises Invalid."""
    if key is None:
        return str(uuid.uuid4())
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY:
        raise Invalid(
            "command.invalid_id", f"an idempotency key is 1 to {MAX_IDEMPOTENCY_KEY} characters"
        )
    try:
        found = str(uuid.UUID(key))
    except ValueError:
        found = ""
    # uuid.UUID also takes braces and 32 digits; only the usual form is the id itself.
    if found == key.lower():
        return found
    return str(uuid.uuid5(NAMESPACE, f"{caller.tenant}/{caller.actor}/{key}"))
