"""What comes from outside is checked by strict models; whatever is wrong is named with its place."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from domain.errors import Invalid

MAX_PROBLEMS = 20
"""More of them help nobody, and a body of 1 MiB can hold 100,000."""


class Strict(BaseModel):
    """No unknown fields, no conversions (`"1"` is no number), no infinite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""What an Avro int holds."""

_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]", re.ASCII)


def _date_and_time(value: object) -> object:
    if isinstance(value, str) and not _DATE_AND_TIME.match(value):
        raise ValueError("a time with a zone is required, such as 2026-03-01T12:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_date_and_time)]
"""A time as RFC 3339 has it; the library alone would also take a number, and guess its unit."""


def bounded(least: int, most: int) -> Any:
    """For whoever reads OpenAPI; the service, which says more, judges."""
    return Field(json_schema_extra={"minimum": least, "maximum": most})


M = TypeVar("M", bound=BaseModel)


def checked(model: type[M], value: object, *, code: str, place: str = "") -> M:
    """`value` as a `model`. Raises Invalid with `code`; `place` is where the value stands."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(code, error.errors(include_url=False, include_input=False), place) from None


def invalid(code: str, errors: Iterable[Mapping[str, Any]], place: str = "") -> Invalid:
    """What pydantic found, as one error: `steps[2].needs: …`, and each with its JSON pointer."""
    found = [
        {"pointer": _pointer(error["loc"]), "detail": said(error), "place": error["loc"]}
        for error in errors
    ][:MAX_PROBLEMS]
    detail = "; ".join(f"{dotted(place, one.pop('place'))}: {one['detail']}" for one in found)
    return Invalid(code, detail, errors=found)


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is no field that is known here",
    "string_type": "text is required",
    "bool_type": "true or false is required",
    "int_type": "a whole number is required",
    "float_type": "a number is required",
    "list_type": "a list is required",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a map is required"),
}


def said(error: Mapping[str, Any]) -> str:
    """What is wrong with one value, in words of ours where pydantic names its own classes."""
    if error["type"] == "literal_error":
        return f"{error['ctx']['expected']} is required"
    return _WORDS.get(error["type"], str(error["msg"]))


def dotted(place: str, parts: Iterable[str | int]) -> str:
    """`steps[2].needs` below `place`."""
    text = place
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the value"


def _pointer(parts: Iterable[str | int]) -> str:
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "".join(f"/{part}" for part in escaped)
