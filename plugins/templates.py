"""Templates in a step's `with`: `${{ expression }}` inside its JSON texts; conditions in its `when`.

`"${{ steps.read.output.rows }}"` alone yields the value itself, inside other text its text.
An expression may use what its run knows (`ROOTS`); one in a template cannot contain `}}`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from domain.definition import Definition
from plugins.blob_store import REFERENCE_FIELD
from plugins.expressions import (
    ExpressionError,
    Token,
    evaluate,
    path_step,
    problem,
    tokens_of,
)

ROOTS = frozenset({"steps", "input", "execution"})
"""What became of the steps that are needed, the input of the run, and the run itself."""
STEP_MEMBERS = ("output", "status", "error")
EXECUTION_MEMBERS = ("id", "pipeline_id", "revision", "started_at", "scheduled_for")
MAX_DEPTH = 32
"""Nested lists and maps in a `with`; deeper ones exhaust Python's stack before they say anything."""

_TEMPLATE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


def expression_problems(definition: Definition) -> list[str]:
    """What is wrong with the expressions of all steps, `step 'x': …` each; empty when nothing is."""
    needs = {step.id: step.needs for step in definition.steps}
    found: list[str] = []
    for step in definition.steps:
        problems = template_problems(step.with_json) + condition_problems(step.when)
        if not problems:
            used = references(step.with_json) | condition_references(step.when)
            unneeded = used - _before(step.id, needs)
            problems = [f"uses steps.{other} but does not need it" for other in sorted(unneeded)]
        found += [f"step '{step.id}': {one}" for one in problems]
    return found


def condition_problems(when: str | None) -> list[str]:
    """What is wrong with a condition; empty when nothing is, and where there is none."""
    found = None if when is None else _expression_problem(when)
    return [] if found is None else [f"when: {found}"]


def condition_references(when: str | None) -> set[str]:
    """Ids of the steps that a condition names; raises `ExpressionError` for a wrong one."""
    return set() if when is None else set(_steps_in(tokens_of(when)))


def holds(when: str, variables: Mapping[str, object]) -> bool:
    """Whether a condition is true; raises `ExpressionError`, also where it is no truth at all."""
    found = evaluate(when, _narrowed(tokens_of(when), variables))
    if not isinstance(found, bool):
        raise ExpressionError(f"when: must be true or false, and is {_as_text(found)[:50]}")
    return found


def template_problems(with_json: str) -> list[str]:
    """What is wrong with the templates of one `with`, each with its place; empty when nothing is."""
    try:
        value = json.loads(with_json)
    except (ValueError, RecursionError) as error:
        return [f"with is no JSON: {error}"]
    if not isinstance(value, dict):
        return ["with is not a JSON object"]
    return list(_problems(value, "with", 0))


def references(with_json: str) -> set[str]:
    """Ids of the steps whose output the templates use; raises `ExpressionError` for wrong ones."""
    texts = (text for text in _texts(json.loads(with_json)))
    expressions = (expression for text in texts for expression in _TEMPLATE.findall(text))
    return {id for expression in expressions for id in _steps_in(tokens_of(expression.strip()))}


def render(value: object, variables: Mapping[str, object]) -> object:
    """The JSON value with its templates replaced; raises `ExpressionError` with the template."""
    if isinstance(value, str):
        return _render_text(value, variables)
    if isinstance(value, list):
        return [render(item, variables) for item in value]
    if isinstance(value, dict):
        return {key: render(item, variables) for key, item in value.items()}
    return value


def _render_text(text: str, variables: Mapping[str, object]) -> object:
    whole = _TEMPLATE.fullmatch(text)
    # A non-greedy match can span two templates when the whole text is asked for.
    if whole is not None and "}}" not in whole[1]:
        return _value(whole[1], variables)
    return _TEMPLATE.sub(lambda match: _as_text(_value(match[1], variables)), text)


def _value(expression: str, variables: Mapping[str, object]) -> object:
    try:
        tokens = tokens_of(expression.strip())
        path = _path(tokens)
        if path is not None:
            return _follow(path, variables)
        return evaluate(expression.strip(), _narrowed(tokens, variables))
    except ExpressionError as error:
        raise ExpressionError(f"${{{{{expression}}}}}: {error}") from error


def _path(tokens: Sequence[Token]) -> list[str | int] | None:
    """The members of an expression that only names a value, or None for any other.

    Such a value is handed on as it is: CEL would lose the order of its fields.
    """
    if not tokens or tokens[0].kind != "name" or tokens[0].text not in ROOTS:
        return None
    path: list[str | int] = [tokens[0].text]
    index = 1
    while index < len(tokens):
        step = path_step(tokens, index)
        if step is None:
            return None
        path.append(step[0])
        index = step[1]
    return path


def _follow(path: Sequence[str | int], variables: Mapping[str, object]) -> object:
    value: object = variables
    for part in path:
        try:
            value = cast(Any, value)[part]
        except (KeyError, IndexError, TypeError):
            raise ExpressionError(_missing(part, path, value)) from None
    return value


def _missing(part: str | int, path: Sequence[str | int], value: object) -> str:
    said = f"there is no {part!r} in {_shape(value)}"
    return f"{said}; a run gets it by --input" if path[:2] == ["input", part] else said


def _narrowed(tokens: Sequence[Token], variables: Mapping[str, object]) -> dict[str, object]:
    """Only what is named: each value given to CEL is copied into it."""
    found = {name: value for name, value in variables.items() if _roots(tokens, name)}
    if "steps" in found:
        named = set(_steps_in(tokens))
        steps = cast(Mapping[str, object], found["steps"])
        found["steps"] = {id: steps[id] for id in named if id in steps}
    return found


def _problems(value: object, place: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield f"{place}: nested more than {MAX_DEPTH} deep"
    elif isinstance(value, str):
        yield from (f"{place}: {one}" for one in _text_problems(value))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _problems(item, f"{place}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == REFERENCE_FIELD:
                yield f"{place}: '{REFERENCE_FIELD}' is reserved; blobs are named by templates only"
            if "${{" in key:
                yield f"{place}: a template in the name of a field; only values may hold templates"
            yield from _problems(item, f"{place}.{key}", depth + 1)


def _text_problems(text: str) -> Iterator[str]:
    if "${{" in _TEMPLATE.sub("", text):
        yield "a template without its end; write ${{ expression }}"
    for expression in _TEMPLATE.findall(text):
        found = _expression_problem(expression.strip())
        if found is not None:
            yield f"${{{{{expression}}}}}: {found}"


def _expression_problem(expression: str) -> str | None:
    found = problem(expression, ROOTS)
    if found is not None:
        return found
    tokens = tokens_of(expression)
    return _step_problem(tokens) or _execution_problem(tokens)


def _step_problem(tokens: Sequence[Token]) -> str | None:
    for index in _roots(tokens, "steps"):
        words = [token.text for token in tokens[index : index + 5]]
        if len(words) < 5 or words[1] != "." or words[3] != "." or words[4] not in STEP_MEMBERS:
            return (
                f"column {tokens[index].column}: only steps.<id>.output, .status and .error can be "
                "used, as steps.read.output.rows"
            )
        more = [token.text for token in tokens[index + 5 : index + 7]]
        if words[4] == "error" and more[:1] == ["."] and more[1:] != ["code"]:
            return f"column {tokens[index].column}: an error has a code, and nothing else"
    return None


def _execution_problem(tokens: Sequence[Token]) -> str | None:
    for index in _roots(tokens, "execution"):
        words = [token.text for token in tokens[index : index + 3]]
        if len(words) < 3 or words[1] != "." or words[2] not in EXECUTION_MEMBERS:
            known = ", ".join(EXECUTION_MEMBERS)
            return f"column {tokens[index].column}: execution has {known}, and nothing else"
    return None


def _steps_in(tokens: Sequence[Token]) -> list[str]:
    found = _roots(tokens, "steps")
    return [tokens[index + 2].text for index in found if index + 2 < len(tokens)]


def _roots(tokens: Sequence[Token], name: str) -> list[int]:
    """Where a variable of this name is used, and no member of another value."""
    return [
        index
        for index, token in enumerate(tokens)
        if token.kind == "name"
        and token.text == name
        and (index == 0 or tokens[index - 1].text != ".")
    ]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _before(step: str, needs: Mapping[str, Sequence[str]]) -> set[str]:
    """Every step that is done when this one starts; ends also where the needs go in a circle."""
    done: set[str] = set()
    open_ids = list(needs[step])
    while open_ids:
        id = open_ids.pop()
        if id not in done:
            done.add(id)
            open_ids += needs.get(id, ())
    return done


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shape(value: object) -> str:
    if not isinstance(value, Mapping):
        return str(value)[:50]
    return f"a map with {', '.join(map(str, list(value)[:10]))}" if value else "an empty map"
