"""The pipeline file: a pipeline as people write it, in YAML or JSON.

bytes ─► size, depth, aliases ─► plain data ─► PipelineIn (strict) ─► Definition
"""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from domain.definition import PLUGIN, STEP_ID, Definition, OnError, Retry, Step
from domain.errors import FlexCoreError, Invalid, TooLarge
from domain.json_text import MAX_DEPTH, MAX_KEYS, parse_json
from domain.pipeline.pipeline import SLUG
from domain.schedule import CatchUp, Schedule
from gateway.strict import Int32, Strict, checked
from gateway.yaml_hints import hint

CODE = "pipeline.invalid_definition"
MAX_BYTES = 1024 * 1024
MAX_ALIASES = 100
_TOLD_BYTES = 64 * 1024
"""Of a file whose mistake is looked for twice; the second time takes a second."""
MAX_VALUES = 100_000
"""With aliases written out: nine lines of YAML can stand for a billion values."""


# ── shapes ───────────────────────────────────────────────────────────────────────────────


def shown_as(pattern: re.Pattern[str]) -> Any:
    """For editors; the domain, which says more, judges."""
    return Field(json_schema_extra={"pattern": f"^{pattern.pattern}$"})


class RetryIn(Strict):
    """Delay before attempt n+1 = initial_s · factor^(n-1) seconds, at most max_s."""

    attempts: Int32
    initial_s: float = 1.0
    factor: float = 2.0
    max_s: float = 60.0
    jitter: bool = True


class StepIn(Strict):
    """One plugin call; `with` is its configuration, templates included."""

    id: Annotated[str, shown_as(STEP_ID)]
    uses: Annotated[str, shown_as(PLUGIN)]
    needs: Annotated[list[str], Field(default_factory=list)]
    with_: Annotated[dict[str, Any], Field(alias="with", default_factory=dict)]
    when: str | None = None
    on_error: Literal["fail", "continue"] = "fail"
    timeout_s: float | None = None
    retry: RetryIn | None = None


class DefinitionIn(Strict):
    """The steps of a pipeline."""

    steps: list[StepIn]

    def definition(self, code: str = CODE) -> Definition:
        """The domain's value. Raises Invalid with `code` for what JSON cannot say."""
        return Definition(
            tuple(_step(step, f"steps[{n}]", code) for n, step in enumerate(self.steps))
        )


class ScheduleIn(Strict):
    """When an active pipeline runs by itself: five fields of cron, meant in an IANA zone.

    `catch_up` says what becomes of times that passed while nothing ran or the pipeline was paused.
    """

    cron: str
    zone: str = "UTC"
    catch_up: Literal["latest", "none", "all"] = "latest"
    input: Annotated[dict[str, Any], Field(default_factory=dict)]

    def value(self, code: str = CODE) -> Schedule:
        """The domain's value. Raises Invalid with `code` for what JSON cannot say."""
        text = json_text(self.input, "schedule.input", code)
        return Schedule(self.cron, self.zone, CatchUp(self.catch_up), text)


class PipelineIn(DefinitionIn):
    """A pipeline without its id."""

    name: str
    description: str = ""
    schedule: ScheduleIn | None = None

    def timed(self) -> Schedule | None:
        """The schedule as the domain's value. Raises Invalid for what JSON cannot say."""
        return None if self.schedule is None else self.schedule.value()


class PipelineFile(PipelineIn):
    """A whole pipeline file."""

    pipeline_id: Annotated[str, shown_as(SLUG)]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a pipeline file, for editors."""
    schema = PipelineFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _step(step: StepIn, place: str, code: str) -> Step:
    return Step(
        id=step.id,
        uses=step.uses,
        needs=tuple(step.needs),
        on_error=OnError(step.on_error),
        timeout_s=step.timeout_s,
        retry=None if step.retry is None else _retry(step.retry),
        when=step.when,
        with_json=json_text(step.with_, f"{place}.with", code),
    )


def _retry(retry: RetryIn) -> Retry:
    return Retry(retry.attempts, retry.initial_s, retry.factor, retry.max_s, retry.jitter)


def json_text(value: object, place: str, code: str) -> str:
    """Compact JSON, keys in the order given. Raises Invalid for what JSON cannot say."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise Invalid(code, f"{place}: cannot be written as JSON: {error}") from error
    return text


# ── reading ──────────────────────────────────────────────────────────────────────────────


class _Loader(yaml.CSafeLoader):
    """Safe YAML as 1.2 has it: dates and times are text, and so are `on`, `off`, `yes` and `no`.

    By libyaml: the one in Python takes half a minute for 1 MiB.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Write out `<<`. Raises Invalid: in a few lines each can merge ten of what was merged."""
        super().flatten_mapping(node)
        if len(node.value) > MAX_KEYS:
            raise Invalid(CODE, f"line {node.start_mark.line + 1}: over {MAX_KEYS} keys")


_NOT_IN_JSON = {f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "bool", "int", "float")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_IN_JSON]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
# Of YAML 1.1 all but the numbers to the base of 60: 12:30 is a time, and a long one takes minutes.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
        r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def read_pipeline_file(data: bytes) -> PipelineFile:
    """The pipeline in a file's bytes, YAML or JSON. Raises Invalid, TooLarge."""
    return checked(PipelineFile, plain_data(data), code=CODE)


def plain_data(data: bytes) -> Any:
    """The plain JSON data in YAML or JSON text. Raises Invalid with line and column, TooLarge."""
    if len(data) > MAX_BYTES:
        raise TooLarge("request.too_large", f"the file has {len(data)} bytes; at most {MAX_BYTES}")
    try:
        value = _read(data.decode())
    except UnicodeDecodeError as error:
        raise Invalid(CODE, f"the file is no UTF-8 ({error}); save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        raise _misread(_told_better(data, error), data) from error
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise Invalid(CODE, f"the file cannot be read: {error}") from error
    _check_values(value)
    return value


def _read(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return parse_json(text)
        except json.JSONDecodeError:
            # Braces also start a YAML flow mapping; if it is none, YAML says what is wrong.
            pass
    _check_structure(text)
    return _Loader(text).get_single_data()


def _check_structure(text: str) -> None:
    """Depth, aliases and repeated keys, before anything is built. Raises Invalid."""
    open_collections: list[_Open] = []
    aliases = 0
    for event in yaml.parse(text, Loader=_Loader):
        place = f"line {event.start_mark.line + 1}" if event.start_mark else "the file"
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
            if aliases > MAX_ALIASES:
                raise Invalid(CODE, f"{place}: more than {MAX_ALIASES} aliases")
        if isinstance(event, yaml.NodeEvent) and open_collections:
            open_collections[-1].take(event, place)
        if isinstance(event, yaml.CollectionStartEvent):
            open_collections.append(_Open(isinstance(event, yaml.MappingStartEvent)))
            if len(open_collections) > MAX_DEPTH:
                raise Invalid(CODE, f"{place}: nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            open_collections.pop()


class _Open:
    """A collection whose end has not come; in a mapping, keys and values alternate."""

    def __init__(self, mapping: bool) -> None:
        self._keys: set[str] | None = set() if mapping else None
        self._key_next = True

    def take(self, event: yaml.NodeEvent, place: str) -> None:
        """The next child. Raises Invalid for a key that stands there already."""
        if self._keys is None:
            return
        if self._key_next and isinstance(event, yaml.ScalarEvent):
            # YAML keeps the last of equal keys; whoever wrote both meant both.
            if event.value in self._keys and event.value != "<<":
                raise Invalid(CODE, f"{place}: the key {event.value!r} stands twice")
            self._keys.add(event.value)
        self._key_next = not self._key_next


def _check_values(value: object) -> None:
    """Keys are text, and the whole is bounded with aliases written out. Raises Invalid."""
    keys = 0
    for count, (place, depth, item) in enumerate(_walk(value)):
        if count > MAX_VALUES or depth > MAX_DEPTH:
            raise Invalid(CODE, f"over {MAX_VALUES} values or {MAX_DEPTH} levels")
        if isinstance(item, dict):
            keys += len(item)
            if keys > MAX_KEYS:
                raise Invalid(CODE, f"over {MAX_KEYS} keys")
            odd = next((key for key in item if not isinstance(key, str)), None)
            if odd is not None:
                raise Invalid(
                    CODE, f"{place or 'the file'}: the key {odd!r} must be text; quote it"
                )
        elif not (item is None or isinstance(item, str | int | float | list)):
            raise Invalid(CODE, f"{place}: {type(item).__name__} is no JSON; quote it")


def _walk(value: object) -> Iterator[tuple[str, int, object]]:
    pending: list[tuple[str, int, object]] = [("", 0, value)]
    while pending:
        place, depth, item = pending.pop()
        yield place, depth, item
        if isinstance(item, dict):
            pending += [(f"{place}.{key}".lstrip("."), depth + 1, v) for key, v in item.items()]
        elif isinstance(item, list):
            pending += [(f"{place}[{n}]", depth + 1, v) for n, v in enumerate(item)]


def _told_better(data: bytes, error: yaml.MarkedYAMLError) -> yaml.MarkedYAMLError:
    """What the parser in Python says: where libyaml misses something, it often names the file's end."""
    if len(data) > _TOLD_BYTES:
        return error
    try:
        for _ in yaml.parse(data.decode(), Loader=yaml.SafeLoader):
            pass
    except yaml.MarkedYAMLError as better:
        return better
    except yaml.YAMLError:
        pass
    return error


def _misread(error: yaml.MarkedYAMLError, data: bytes) -> FlexCoreError:
    said = str(error.problem or error.context)
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Invalid(CODE, said)
    line = "".join(data.decode().split("\n")[mark.line : mark.line + 1])
    place = f"line {mark.line + 1}, column {mark.column + 1}"
    return Invalid(CODE, f"{place}: {said}{hint(said, line)}")
