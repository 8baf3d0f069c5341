"""What a projector counts, as Prometheus reads it."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LAG_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.06, 0.15, 0.5, 2, 10, 60, float("inf"))


class Metrics:
    """One registry per projector, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        named: dict[str, Any] = {"registry": self.registry}
        self.events = Counter(
            "flexcore_projection_events", "Events folded, repeats included", ["context"], **named
        )
        self.rows = Counter(
            "flexcore_projection_rows", "Rows written to PostgreSQL", ["projection"], **named
        )
        self.dead = Counter(
            "flexcore_projection_dead_letters", "Records that are no events", ["context"], **named
        )
        self.parked = Gauge(
            "flexcore_projection_parked",
            "Aggregates that stand still because an event is missing",
            ["projection"],
            **named,
        )
        self.queued = Gauge(
            "flexcore_projection_queued_batches", "Batches that wait for PostgreSQL", **named
        )
        self.lag = Histogram(
            "flexcore_projection_lag_seconds",
            "From an event's append to its row being visible",
            ["context"],
            buckets=LAG_BUCKETS_S,
            **named,
        )
