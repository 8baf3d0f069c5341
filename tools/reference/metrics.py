"""docs/reference/metrics.md, from the metrics that the processes register."""

from collections.abc import Iterator, Mapping

from prometheus_client.metrics import MetricWrapperBase

from gateway.rest import tracing
from observability import worker_metrics
from projections.metrics import Metrics
from tools.reference.markdown import code, sentence, table

INTRO = """# Metrics

Each process answers `GET /metrics` on its own port, in Prometheus' text format; `flexcore status` shows the ports. Beside
those below stand the usual ones of a Python process (`process_…`, `python_…`; not on the projector).

A counter's name ends with `_total` there; a histogram `h` has `h_bucket`, `h_sum` and `h_count`.

What is worth an alarm: `flexcore_partitions_broken` or `flexcore_event_gaps` above 0 (a partition has stopped, see
[Correctness](../correctness.md#a-partition-that-stopped)), `flexcore_event_conflicts` above 0,
`flexcore_projection_parked` above 0, `flexcore_lane_queued` that only grows.
"""


def page() -> str:
    """Name, type, labels and help of every metric, by process."""
    return "\n".join([INTRO, *(_section(name, found) for name, found in _by_process())])


def _by_process() -> Iterator[tuple[str, list[MetricWrapperBase]]]:
    yield "Api", _metrics(vars(tracing))
    yield "Worker", _metrics(vars(worker_metrics))
    yield "Projector", _metrics(vars(Metrics()))


def _metrics(found: Mapping[str, object]) -> list[MetricWrapperBase]:
    return [one for one in found.values() if isinstance(one, MetricWrapperBase)]


def _section(process: str, metrics: list[MetricWrapperBase]) -> str:
    rows = sorted(_row(metric) for metric in metrics)
    return f"## {process}\n\n{table(('Metric', 'Type', 'Labels', 'Counts'), rows)}"


def _row(metric: MetricWrapperBase) -> tuple[str, str, str, str]:
    # The library tells labels of metrics that have values alone.
    labels = ", ".join(map(code, metric._labelnames))
    (described,) = metric.describe()
    name = described.name + ("_total" if described.type == "counter" else "")
    return code(name), described.type, labels, sentence(described.documentation)
