"""The application's table of contents: each bounded context, its aggregate and its messages."""

from dataclasses import dataclass
from typing import Any, get_args

from domain.decider import Decider
from domain.execution.execution import EXECUTION
from domain.execution.messages import (
    CancelExecution,
    ExecutePipeline,
    ExecutionEvent,
    InternalCommand,
)
from domain.execution.state import Ended, Running
from domain.pipeline.pipeline import (
    PIPELINE,
    FireSchedule,
    Pipeline,
    PipelineCommand,
    PipelineEvent,
)


@dataclass(frozen=True, slots=True)
class Context:
    """`commands` come over topics and doors, `internal` from the engine in the same process;
    `states` are those that events lead to.
    """

    name: str
    aggregate: str
    id_field: str
    decider: Decider[Any, Any, Any]
    commands: tuple[type, ...]
    events: tuple[type, ...]
    states: tuple[type, ...]
    internal: tuple[type, ...] = ()


CONTEXTS: dict[str, Context] = {
    "pipeline": Context(
        name="pipeline",
        aggregate="Pipeline",
        id_field="pipeline_id",
        decider=PIPELINE,
        commands=get_args(PipelineCommand),
        events=get_args(PipelineEvent),
        states=(Pipeline,),
        internal=(FireSchedule,),
    ),
    "execution": Context(
        name="execution",
        aggregate="Execution",
        id_field="execution_id",
        decider=EXECUTION,
        commands=(ExecutePipeline, CancelExecution),
        events=get_args(ExecutionEvent),
        states=(Running, Ended),
        internal=get_args(InternalCommand),
    ),
}
