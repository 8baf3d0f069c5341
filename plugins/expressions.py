"""The expression dialect: a small part of CEL, checked before it runs and bounded when it does.

| part       | written                                                                    |
|------------|----------------------------------------------------------------------------|
| members    | `row.date`, `row["max temp"]`, `steps.read.output.count`, `list[0]`         |
| literals   | `1`, `2.5`, `'text'`, `"text"`, `true`, `false`, `null`, `[1, 2]`           |
| arithmetic | `+ - * / %`; both sides of one kind: `double(row.n) * 1.5`, `row.x * 2.0`   |
| comparison | `== != < <= > >=`, `x in list`                                              |
| boolean    | `&& || !`, `condition ? a : b`                                              |
| functions  | the table `FUNCTIONS` of functions.py, and nothing else: no loops, no maps   |

Source of the language: the Common Expression Language specification, by `common-expression-language`.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, cast

from plugins.cel_engine import ENGINE
from plugins.functions import FUNCTIONS, OWN, REPLACED

MAX_LENGTH = 1_000
"""Characters; keeps the recursive parser far from the end of a thread's stack."""
_CACHED_PROGRAMS = 1_024

_TOKEN = re.compile(
    r"(?P<blank>[ \t\r\n]+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"""|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"|(?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]])"
)
_GLUED = frozenset({("number", "name"), ("name", "text"), ("text", "text")})
"""CEL reads `1u`, `b'…'` and three quotes as one word each; the dialect has none of them."""
_WORDS = frozenset({"true", "false", "null", "in"})
_OF_OTHER_LANGUAGES = dict(
    pair.split(" → ")
    for pair in (
        *("= → ==", "<> → !=", "& → &&", "| → ||", "** → x * x"),
        *("and → &&", "or → ||", "not → !", "is → ==", "like → contains(text, part)"),
    )
)
"""Word → what the dialect writes for it."""
_POSITION = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")


class ExpressionError(Exception):
    """An expression that cannot be read, or that failed on the values it met.

    `missed` says that it named a field that is not there.
    """

    def __init__(self, message: str, *, missed: bool = False) -> None:
        super().__init__(message)
        self.missed = missed


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an expression; `column` counts from 1."""

    kind: str
    text: str
    column: int

    @property
    def end(self) -> int:
        return self.column - 1 + len(self.text)


@dataclass(frozen=True, slots=True)
class _Compiled:
    program: Any
    tokens: tuple[Token, ...]


def problem(text: str, roots: Collection[str] | None = None) -> str | None:
    """What is wrong with an expression, in one line with its place, or None.

    `roots` are the variables it may name; None allows any.
    """
    try:
        compiled = _compile(text)
    except ExpressionError as error:
        return str(error)
    for index, token in enumerate(compiled.tokens):
        if roots is not None and _is_root(compiled.tokens, index) and token.text not in roots:
            return f"column {token.column}: unknown name '{token.text}'; known: {_listed(roots)}"
    return None


def evaluate(text: str, variables: Mapping[str, object]) -> object:
    """The value of an expression as JSON would hold it; raises `ExpressionError`."""
    return evaluator(text)(variables)


def evaluator(text: str) -> Callable[[Mapping[str, object]], object]:
    """An expression made ready for many evaluations; raises `ExpressionError`, now and then."""
    compiled = _compile(text)
    errors: list[Exception] = []
    own = {name: partial(_guarded, errors, call) for name, call in OWN.items()}
    context = ENGINE.Context(functions=own)

    def run(variables: Mapping[str, object]) -> object:
        errors.clear()
        try:
            for name, value in variables.items():
                context.add_variable(name, value)
            value = compiled.program.execute(context)
        except Exception as error:  # CEL raises whatever Python error is nearest to its own
            first = errors[0] if errors else error
            raise ExpressionError(_reason(first), missed=isinstance(first, KeyError)) from error
        if errors:
            raise ExpressionError(_reason(errors[0]))
        return _plain(value)

    return run


def _guarded(errors: list[Exception], call: Callable[..., object], *arguments: object) -> object:
    """Keeps an error for afterwards: CEL would print it to stderr and wrap it in its own words."""
    try:
        return call(*arguments)
    except Exception as error:
        errors.append(error)
        return None


def tokens_of(text: str) -> tuple[Token, ...]:
    """The words of an expression that is right; raises `ExpressionError`."""
    return _compile(text).tokens


def members_of(text: str, root: str) -> frozenset[str] | None:
    """Fields that the expression takes from `root`; None where it may take any."""
    tokens = tokens_of(text)
    found: set[str] = set()
    for index, token in enumerate(tokens):
        if token.text == root and _is_root(tokens, index):
            step = path_step(tokens, index + 1)
            if step is None or not isinstance(step[0], str):
                return None
            found.add(step[0])
    return frozenset(found)


def path_step(tokens: Sequence[Token], index: int) -> tuple[str | int, int] | None:
    """The member named at `index` (`.name`, `["name"]`, `[0]`) and the index after it, or None."""
    words = [token.text for token in tokens[index : index + 3]]
    kinds = [token.kind for token in tokens[index : index + 3]]
    if words[:1] == ["."] and kinds[1:2] == ["name"]:
        is_call = words[2:3] == ["("]
        return None if is_call else (words[1], index + 2)
    if words[:1] == ["["] and words[2:3] == ["]"]:
        if kinds[1] == "text" and "\\" not in words[1]:
            return words[1][1:-1], index + 3
        if kinds[1] == "number" and words[1].isdigit():
            return int(words[1]), index + 3
    return None


@lru_cache(maxsize=_CACHED_PROGRAMS)
def _compile(text: str) -> _Compiled:
    tokens = _tokens(text)
    for token, following in pairwise(tokens):
        is_call = token.kind == "name" and following.text == "(" and token.text not in _WORDS
        if is_call and token.text not in FUNCTIONS:
            raise ExpressionError(
                f"column {token.column}: unknown function '{token.text}'; known: {_listed(FUNCTIONS)}"
            )
    try:
        program = ENGINE.compile(text)
        renamed = _with_own_names(text, tokens)
        return _Compiled(program if renamed == text else ENGINE.compile(renamed), tokens)
    except ValueError as error:
        raise ExpressionError(_syntax_problem(str(error)) + _habit(tokens)) from None


def _with_own_names(text: str, tokens: Sequence[Token]) -> str:
    """Calls of the functions that replace CEL's own, which it would prefer under their name."""
    for token, following in reversed(list(pairwise(tokens))):
        if token.text in REPLACED and token.kind == "name" and following.text == "(":
            text = text[: token.column - 1] + REPLACED[token.text] + text[token.end :]
    return text


def _tokens(text: str) -> tuple[Token, ...]:
    if not text.strip():
        raise ExpressionError("an empty expression; a value is required")
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"{len(text)} characters; at most {MAX_LENGTH} are allowed")
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(_unexpected(text, position))
        kind = cast(str, match.lastgroup)
        if found and (found[-1].kind, kind) in _GLUED and found[-1].end == position:
            raise ExpressionError(f"column {position + 1}: unexpected {match[0]!r}")
        if kind != "blank":
            found.append(Token(kind, match[0], position + 1))
        position = match.end()
    return tuple(found)


def _is_root(tokens: Sequence[Token], index: int) -> bool:
    """Whether the token names a variable: no member, no function, no word of the language."""
    token = tokens[index]
    if token.kind != "name" or token.text in _WORDS:
        return False
    before = tokens[index - 1].text if index else ""
    after = tokens[index + 1].text if index + 1 < len(tokens) else ""
    return before != "." and after != "("


def _plain(value: object) -> object:
    """Refuses what JSON cannot hold, so that a step's output never depends on CEL's own types."""
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    raise ExpressionError(f"the value is a {type(value).__name__}; JSON has no such thing")


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no field {error}; has(…) asks whether a field is there"
    if str(error).startswith("No such overload"):
        return "the two sides are of different kinds; convert one by int(x), double(x) or string(x)"
    return " ".join(str(error).split())[:500]


def _syntax_problem(message: str) -> str:
    match = _POSITION.search(message)
    if match is None:
        return "cannot be parsed"
    line, column, what = match.groups()
    if what.startswith("OtherError"):
        return f"column {column}: nested too deeply"
    place = f"column {column}" if line == "1" else f"line {line}, column {column}"
    return f"{place}: {re.sub(r' expecting {.*', '', what)[:200]}".replace("<EOF>", "end")


def _unexpected(text: str, position: int) -> str:
    found = text[position]
    said = f"column {position + 1}: unexpected {found!r}"
    if text.startswith("${{", position):
        return f"{said}; an expression stands here by itself, without ${{{{ }}}}"
    if found in _OF_OTHER_LANGUAGES:
        return f"{said}; write {_OF_OTHER_LANGUAGES[found]}"
    if found.isalpha():
        return f'{said}; a name of other letters than a-z stands in brackets, as row["…"]'
    return said


def _habit(tokens: Sequence[Token]) -> str:
    """What to write for the first word of another language, where there is one."""
    words = [token.text for token in tokens]
    for word, following in pairwise([*words, ""]):
        for one in (word.lower(), word + following):
            if one in _OF_OTHER_LANGUAGES:
                return f"; write {_OF_OTHER_LANGUAGES[one]} for {one}"
    return ""


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) if names else "none"
