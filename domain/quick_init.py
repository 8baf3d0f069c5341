"""Frozen dataclasses at half the price, for those that are made for every command and event."""

import dataclasses
from typing import Any, TypeVar

T = TypeVar("T")


def quick_init(cls: type[T]) -> type[T]:
    """`cls`, a frozen dataclass with slots, whose __init__ fills the slots by their own setters.

        def __init__(self, name, revision=default_revision):
            set_name(self, name)
            set_revision(self, revision)

    What `dataclasses` writes goes through `object.__setattr__`, which looks each name up: 1.2 µs
    for eight fields instead of 0.6, and a command makes nine such objects. Frozen it stays.
    """
    made: Any = cls
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(made)
    known: dict[str, Any] = {}
    parameters = []
    for field in fields:
        assert field.default_factory is dataclasses.MISSING, f"{field.name} has a default factory"
        known[f"set_{field.name}"] = cls.__dict__[field.name].__set__
        known[f"default_{field.name}"] = field.default
        optional = field.default is not dataclasses.MISSING
        parameters.append(f"{field.name}=default_{field.name}" if optional else field.name)
    star = ["*"] if any(field.kw_only for field in fields) else []
    text = [f"def __init__({', '.join(['self', *star, *parameters])}):"]
    text += [f"    set_{field.name}(self, {field.name})" for field in fields]
    # The text is made of the names of our own fields, and of nothing else.
    exec("\n".join(text), known)  # noqa: S102
    known["__init__"].__annotations__ = cls.__init__.__annotations__
    cls.__init__ = known["__init__"]  # type: ignore[method-assign]
    return cls
