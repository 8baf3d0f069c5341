"""What must hold when a run has healed, for whoever reads the log and the answers."""

from domain.pipeline.pipeline import PIPELINE, Pipeline, PipelineScheduleFired
from streams.records import text
from tests.simulation.cluster import Cluster
from tests.simulation.places import CODEC
from tests.simulation.witness import Violation, Witness

_ENDS = tuple(f"flexcore.execution.Execution{how}" for how in ("Completed", "Failed", "Cancelled"))


def hold(cluster: Cluster) -> int:
    """The number of places that are refused loudly. Raises Violation.

    Only what a late EndTxn has torn may be refused; nothing more is asked of such a run then.
    """
    witness, torn = cluster.witness, cluster.broker.tears > 0
    loud = {place for worker in cluster.workers for place in worker.broken}
    loud |= {place for worker in cluster.workers for place in worker.tailer.gaps()}
    if loud and not torn:
        raise Violation(f"alarmed for nothing: {sorted(loud)}")
    if witness.copies and not (witness.republished or torn):
        raise Violation(f"{witness.copies} events stand in the log twice")
    for worker in cluster.workers:
        cluster.snapshots_change_nothing(worker)
    if not loud:
        _versions_are_dense(witness)
        _no_command_is_torn(witness)
        _everything_is_answered(witness, torn=torn)
        _executions_end(witness)
        _schedules_are_kept(cluster, torn=torn)
        _views_agree(cluster)
    return len(loud)


def _versions_are_dense(witness: Witness) -> None:
    for aggregate, events in witness.events.items():
        if sorted(events) != list(range(1, len(events) + 1)):
            raise Violation(f"versions of {aggregate}: {sorted(events)}")


def _no_command_is_torn(witness: Witness) -> None:
    for identity, events in witness.made.items():
        counts = {int(text(event.headers, "ce_txncount")) for event in events.values()}
        if counts != {len(events)}:
            raise Violation(f"{len(events)} of {counts} events of {identity}")


def _everything_is_answered(witness: Witness, *, torn: bool) -> None:
    silent = [sent for sent in witness.sent if sent not in witness.heard]
    if torn:
        # A refusal that such a transaction lacks is judged again by the worker that wrote it; if
        # that one is gone, nobody knows of it, and its command stays without an answer.
        silent = [sent for sent in silent if witness.has_made(sent)]
    if silent:
        raise Violation(f"never answered: {silent}")


def _executions_end(witness: Witness) -> None:
    """Each once, with its last event."""
    for (context, aggregate_id), events in witness.events.items():
        types = [text(events[version].headers, "ce_type") for version in sorted(events)]
        if context == "execution" and [t in _ENDS for t in types] != [False] * (len(types) - 1) + [
            True
        ]:
            raise Violation(f"execution {aggregate_id} does not end as it should: {types}")


def _schedules_are_kept(cluster: Cluster, *, torn: bool) -> None:
    """Each time once, with the command that starts its run, and none that has come is left."""
    witness, fired = cluster.witness, set()
    for (context, aggregate_id), events in witness.events.items():
        if context != "pipeline":
            continue
        records = [events[version] for version in sorted(events)]
        messages = [CODEC.decode(record.value or b"") for record in records]
        runs = [m.execution_id for m in messages if isinstance(m, PipelineScheduleFired)]
        if len(set(runs)) < len(runs):
            raise Violation(f"a time of {aggregate_id} came twice: {runs}")
        fired |= {
            record.event_id
            for record, message in zip(records, messages, strict=True)
            if isinstance(message, PipelineScheduleFired)
        }
        state = PIPELINE.fold(messages)
        due = state.next_run_at() if isinstance(state, Pipeline) else None
        if due is not None and due <= cluster.broker.now:
            raise Violation(f"the run of {aggregate_id} at {due} was left out")
    if torn:
        # Such a transaction may lack the command alone, and nobody looks for it.
        fired &= witness.asked.keys()
    if fired != witness.asked.keys():
        raise Violation(f"fired {sorted(fired)}, asked for {sorted(witness.asked)}")
    if not torn and witness.asked and max(witness.asked.values()) > 1:
        raise Violation(f"a run was asked for twice: {witness.asked}")


def _views_agree(cluster: Cluster) -> None:
    """A plain reader's fold of the log is what each worker's index says."""
    truth = {
        aggregate: [events[version].event_id for version in sorted(events)]
        for aggregate, events in cluster.witness.events.items()
    }
    for worker in cluster.workers:
        for (context, aggregate_id), events in truth.items():
            found = [e.event_id for e in worker.index.events(context, aggregate_id)]
            if found != events:
                raise Violation(f"{worker.id} shows {found} of {aggregate_id}, in the log {events}")
