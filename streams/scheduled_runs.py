"""The command that a schedule gives: PipelineScheduleFired ──► ExecutePipeline of its run."""

from collections.abc import Mapping

from domain.execution.messages import ExecutePipeline
from domain.pipeline.pipeline import PipelineScheduleFired
from schemas import catalogue
from schemas.codec import Codec
from streams.records import Headers, text


def asking_for(
    fired: PipelineScheduleFired, headers: Mapping[str, bytes], codec: Codec
) -> tuple[bytes, Headers]:
    """(value, headers) of the command; `headers` are the event's.

    Everything follows from the event. The command's id is the event's, so that what its run makes
    names the event as its cause.
    """
    command = ExecutePipeline(
        execution_id=fired.execution_id,
        pipeline_id=fired.pipeline_id,
        deadline_s=None,
        priority=0,
        input_json=fired.input_json,
        scheduled_for=fired.scheduled_for,
    )
    told = {
        "ce_specversion": "1.0",
        "ce_id": text(headers, "ce_id"),
        "ce_source": text(headers, "ce_source"),
        "ce_type": catalogue.full_names()[ExecutePipeline],
        "ce_time": text(headers, "ce_time"),
        "ce_subject": fired.execution_id,
        "content-type": "application/avro",
        "ce_tenantid": text(headers, "ce_tenantid"),
        "ce_actorid": text(headers, "ce_actorid"),
        "ce_correlationid": text(headers, "ce_correlationid"),
        "ce_causationid": text(headers, "ce_commandid"),
    }
    return codec.encode(command), [(name, value.encode()) for name, value in told.items()]
