"""The table of contents: what each context takes and tells."""

import dataclasses

import pytest

from domain.contexts import CONTEXTS, Context
from domain.execution.messages import (
    CompleteStep,
    ExpireExecution,
    FailStep,
    RedeliverStep,
    SkipStep,
)


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_every_message_names_its_aggregate_first(context: Context) -> None:
    """Whoever routes a record needs the first field only."""
    for message in (*context.commands, *context.events, *context.internal):
        assert dataclasses.fields(message)[0].name == context.id_field


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_messages_are_values(context: Context) -> None:
    for message in (*context.commands, *context.events, *context.internal):
        assert vars(message)["__dataclass_params__"].frozen
        assert "__slots__" in vars(message)


def test_a_context_stands_under_its_own_name() -> None:
    assert all(name == context.name for name, context in CONTEXTS.items())


def test_no_two_messages_share_a_name() -> None:
    names = [
        message.__name__
        for context in CONTEXTS.values()
        for message in (*context.commands, *context.events, *context.internal)
    ]
    assert len(names) == len(set(names))


def test_the_engines_answers_come_through_no_door() -> None:
    internal = {CompleteStep, ExpireExecution, FailStep, RedeliverStep, SkipStep}
    assert set(CONTEXTS["execution"].internal) == internal
    assert not internal & {c for context in CONTEXTS.values() for c in context.commands}
