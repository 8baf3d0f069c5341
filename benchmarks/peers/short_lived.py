"""The load of `bench commands` over pipelines that end with their tenth event, as the peers' aggregates do."""

from benchmarks.load import AGGREGATES, WARM_UP_S, Load, Run
from benchmarks.peers.closed_loop import EVENTS_PER_AGGREGATE


class ShortLived(Load):
    """Has as many pipelines as are in flight, and at least 1,000, so that no two commands meet at one."""

    _width = AGGREGATES

    def run(
        self,
        in_flight: int,
        seconds: float,
        *,
        warm_up_s: float = WARM_UP_S,
        at_least: int = 0,
    ) -> Run:
        """As `Load.run`."""
        self._width = max(AGGREGATES, in_flight)
        self._versions += [0] * (self._width - len(self._versions))
        return super().run(in_flight, seconds, warm_up_s=warm_up_s, at_least=at_least)

    def _next(self) -> tuple[int, str, int]:
        number = self._number % self._width
        generation, version = divmod(self._versions[number], EVENTS_PER_AGGREGATE)
        return number, f"bench-{self._run_id}-{number}-{generation}", version
