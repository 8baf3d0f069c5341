"""What is true within a turn: its overlay over what is committed over what the index has read."""

from typing import Any

from domain.contexts import CONTEXTS, Context
from domain.pipeline.pipeline import Pipeline
from streams.answers import Answer
from streams.records import Identity
from streams.states import States
from streams.stream_index import StreamIndex
from streams.turn import Turn
from streams.unseen import Unseen


class TurnView:
    """The `View` that a judge is given."""

    def __init__(self, turn: Turn, states: States, unseen: Unseen, index: StreamIndex) -> None:
        self._turn = turn
        self._states = states
        self._unseen = unseen
        self._index = index

    def answer(self, identity: Identity) -> Answer | None:
        # The index before what is recent: only there an answer has its position.
        return (
            self._turn.answers.get(identity)
            or self._index.answer(identity)
            or self._unseen.answer(identity)
        )

    def state(self, context: Context, aggregate_id: str) -> tuple[int, Any]:
        found = self._turn.states.get((context.name, aggregate_id))
        return found or self._states.get(context, aggregate_id)

    def pipeline(self, pipeline_id: str) -> Pipeline | None:
        _, state = self.state(CONTEXTS["pipeline"], pipeline_id)
        return state if isinstance(state, Pipeline) else None
