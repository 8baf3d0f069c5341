"""What may go wrong in a run: drawn once per seed, so that some runs have many of one fault.

(swarm testing: a run without pauses finds what pauses would hide, and the other way round)
"""

from dataclasses import dataclass
from random import Random

EVENTS = (
    "crash",
    "pause",
    "deafen",
    "zombie",
    "expire",
    "stray",
    "outage",
    "republish",
    "redact",
    "compact",
    "time_out",
)
TASKS = ("lane", "group", "fence", "tail", "answer", "fetch", "engine", "commit_answered")


@dataclass(frozen=True, slots=True)
class Chaos:
    """Probabilities are per request; `weights` tell how often a fault is picked between steps."""

    workers: int
    beats: int
    until_minute_ms: int
    """The next time of all schedules; not every run lives to see it before it heals."""
    sent_twice: float
    """EndTxn sent again in silence: one copy stays on its way (KAFKA-17754)."""
    reply_lost: float
    request_late: float
    refused: float
    split_batches: bool
    abort_strays: bool
    keep_index: bool
    slow_start: bool
    """Commands and results come before the lane's first turn with its places."""
    reads_at_once: int
    weights: dict[str, float]
    speeds: dict[str, float]
    """Of a worker's threads: in some runs one hardly gets its turn."""


def drawn(random: Random) -> Chaos:
    """What goes wrong in a run, and how often."""

    def some(likely: float, most: float) -> float:
        return random.random() * most if random.random() < likely else 0.0

    return Chaos(
        workers=random.choice((1, 2, 2, 3)),
        beats=random.randint(40, 110),
        until_minute_ms=random.randint(0, 4_000),
        sent_twice=some(0.5, 0.8),
        reply_lost=some(0.4, 0.3),
        request_late=some(0.4, 0.3),
        refused=some(0.3, 0.2),
        split_batches=random.random() < 0.5,
        abort_strays=random.random() < 0.5,
        keep_index=random.random() < 0.5,
        slow_start=random.random() < 0.5,
        reads_at_once=random.choice((1, 3, 10_000)),
        weights={event: some(0.6, 1.0) for event in EVENTS},
        speeds={task: random.choice((0.03, 0.3, 1.0, 1.0)) for task in TASKS},
    )
