"""What one run of one peer gave, and what many of them are together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.load import spread


@dataclass(frozen=True, slots=True)
class Measured:
    """A sound run: as many events in the store as commands were accepted."""

    rate_per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A run without a figure, and why."""

    why: str


class Contestant(Protocol):
    """One store that is measured; the process or the client behind it lives from run to run."""

    name: str
    client: str
    durability: str
    versions: dict[str, str]

    def run(self, in_flight: int, seconds: float) -> Measured | Failed:
        """One run of the closed loop, after a warm-up, with its events counted."""
        ...


def row(peer: str, in_flight: int, runs: Sequence[Measured | Failed]) -> dict[str, Any]:
    """Medians over the sound runs, the rates' lowest and highest, and what went wrong in the others."""
    sound = [run for run in runs if isinstance(run, Measured)]
    failures = dict.fromkeys(run.why for run in runs if isinstance(run, Failed))
    found: dict[str, Any] = {
        "peer": peer,
        "in_flight": in_flight,
        "runs": len(sound),
        "failed": "; ".join(failures),
    }
    if sound:
        rate, lowest, highest = spread([run.rate_per_s for run in sound])
        found |= {
            "rate_per_s": round(rate),
            "spread": [round(lowest), round(highest)],
            "p50_ms": round(spread([run.p50_ms for run in sound])[0], 2),
            "p99_ms": round(spread([run.p99_ms for run in sound])[0], 2),
            "rates_per_s": [round(run.rate_per_s) for run in sound],
        }
    return found
