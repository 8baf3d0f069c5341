"""The read side's table of contents: its projections, and who answers which query."""

from collections.abc import Awaitable, Callable
from typing import Any

from projections.executions import (
    EXECUTIONS,
    ExecutionById,
    ExecutionsMatching,
    execution_by_id,
    executions_matching,
)
from projections.pipelines import (
    PIPELINES,
    PipelineById,
    PipelinesMatching,
    pipeline_by_id,
    pipelines_matching,
)
from projections.projection import Projection

PROJECTIONS: dict[str, Projection] = {
    projection.name: projection for projection in (PIPELINES, EXECUTIONS)
}

Handler = Callable[[Any, Any], Awaitable[Any]]

HANDLERS: dict[type, Handler] = {
    PipelineById: pipeline_by_id,
    PipelinesMatching: pipelines_matching,
    ExecutionById: execution_by_id,
    ExecutionsMatching: executions_matching,
}
"""Query type → `await handler(query, pool)`."""
