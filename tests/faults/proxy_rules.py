"""What the proxy is told: rules for single requests, and how a slot's connections carry bytes."""

from asyncio import StreamWriter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What happens to requests that match, `times` times after the first `skip`.

    hold    for `seconds`, in order             drop    never delivered
    cut     connection ended, not delivered     cut_after  delivered, connection ended unanswered
    stray   kept and the connection ended; delivered by a connection of its own just before a later
            request of the same transactional id that is one of `before` (and comes once events were
            `written`, if so said): the late EndTxn of KAFKA-17754
    copy    delivered as it should be; later a copy, deciding `commit`, as `stray` is
    """

    name: str
    slot: int
    apis: tuple[int, ...]
    action: str
    times: int = 1
    skip: int = 0
    commits: bool | None = None
    seconds: float = 0.0
    before: tuple[int, ...] = ()
    written: bool = False
    commit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a slot's connections carry bytes; `closed` names the directions that carry none."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    stall_share: float = 0.0
    stall_s: float = 0.0
    bytes_per_s: float = 0.0
    closed: str = ""
    refuses: bool = False


@dataclass(slots=True)
class Door:
    """Where a slot's worker enters, and the broker's port behind it."""

    slot: int
    port: int
    upstream: int
    writers: set[StreamWriter] = field(default_factory=set)
