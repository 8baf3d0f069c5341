"""Events as people name them: `PipelineCreated`, or with its context `flexcore.pipeline.PipelineCreated`."""

from collections.abc import Collection, Sequence

from domain.contexts import CONTEXTS
from domain.errors import Invalid, NotFound
from schemas import catalogue


def contexts_of(wanted: str | None) -> list[str]:
    """The context of this name, or all of them. Raises NotFound."""
    if wanted is None:
        return list(CONTEXTS)
    if wanted not in CONTEXTS:
        known = ", ".join(CONTEXTS)
        raise NotFound("aggregate.not_found", f"there is no context {wanted!r}; known: {known}")
    return [wanted]


def full_names(types: Sequence[str], contexts: Collection[str]) -> list[str]:
    """Names of events with their contexts, however they were written. Raises Invalid."""
    events = [cls for context in contexts for cls in CONTEXTS[context].events]
    by_name = {cls.__name__: catalogue.full_names()[cls] for cls in events}
    known = by_name | {full: full for full in by_name.values()}
    unknown = [name for name in types if name not in known]
    if unknown:
        names = ", ".join(by_name)
        raise Invalid("query.invalid", f"there is no event {unknown[0][:80]!r}; known: {names}")
    return [known[name] for name in types]
