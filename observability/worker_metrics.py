"""What a worker counts, in Prometheus' words."""

from prometheus_client import Counter, Gauge, Histogram

COMMANDS = Counter("flexcore_commands", "Commands judged, by outcome.", ["outcome"])
COMMIT_SECONDS = Histogram(
    "flexcore_commit_seconds",
    "A transaction of the lane, from begin to commit.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 15),
)
EVENTS = Counter("flexcore_events", "Events committed, by context.", ["context"])
REPAIRED = Gauge("flexcore_events_repaired", "Committed events that were missing in the log.")
RECYCLED = Gauge(
    "flexcore_producers_recycled", "Times that the producers were replaced since one was doubtful."
)
HANGING = Gauge("flexcore_calls_hanging", "Calls of librdkafka that were given up.")
BROKEN = Gauge(
    "flexcore_partitions_broken", "Partitions that stopped, as their log lacks an event."
)
CONFLICTS = Gauge("flexcore_event_conflicts", "Versions that stand in the log with two contents.")
GAPS = Gauge("flexcore_event_gaps", "Partitions in which a version is missing.")
QUEUED = Gauge("flexcore_lane_queued", "Commands that wait for the lane.")
OWNED = Gauge("flexcore_partitions_owned", "Command partitions this worker writes to.")
RUNNING = Gauge("flexcore_steps_running", "Steps that run in child processes.")
HANDLER_EVENTS = Counter(
    "flexcore_handler_events", "Events that a handler is done with, by how.", ["handler", "outcome"]
)
HANDLER_FAILURES = Counter(
    "flexcore_handler_failures", "Calls of a handler that failed or took too long.", ["handler"]
)
HANDLER_BEHIND = Gauge(
    "flexcore_handler_behind", "Offsets that a handler has not come to yet, here.", ["handler"]
)
