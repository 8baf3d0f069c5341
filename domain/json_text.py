"""JSON as clients may write it: bounded, and with one meaning only.

text ─► no NaN, no number out of range, no key twice ─► at most 64 levels and 10,000 keys ─► value
"""

import json
from collections import Counter
from collections.abc import Iterator
from math import isfinite
from typing import Any

MAX_DEPTH = 64
"""Readers of ours go down value by value; Python gives up at about 1,000 levels, orjson at 254."""
MAX_KEYS = 10_000
"""Of a document, or of each one where the text is a list of them."""


def parse_json(text: str) -> Any:
    """The value in a JSON text. Raises ValueError, which says what is wrong.

    Where it is no JSON at all, json.JSONDecodeError. What is refused beyond that would be read
    differently by different readers: of two equal keys the first or the last one, a number over
    64 bits as a rounded one, NaN or half a surrogate pair not at all.
    """
    try:
        value = _STRICT.decode(text)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    if "\\u" in text and not _is_unicode(value):
        raise ValueError("half of a surrogate pair is no character")
    # Brackets and colons are counted at once, values one by one: a common text has few of them.
    if text.count("[") + text.count("{") > MAX_DEPTH or text.count(":") > MAX_KEYS:
        check_bounds(value)
    return value


def check_bounds(value: object) -> None:
    """Raises ValueError for a value of too many levels or keys."""
    for document in value if isinstance(value, list) else [value]:
        keys = 0
        for depth, inner in _containers(document, 2 if isinstance(value, list) else 1):
            if depth > MAX_DEPTH:
                raise ValueError(_TOO_DEEP)
            keys += len(inner) if isinstance(inner, dict) else 0
            if keys > MAX_KEYS:
                raise ValueError(f"over {MAX_KEYS} keys")


_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


def _containers(value: object, depth: int) -> Iterator[tuple[int, dict[Any, Any] | list[Any]]]:
    """(level, counted from `depth`; map or list), each before what it contains."""
    pending = [(depth, value)]
    while pending:
        level, item = pending.pop()
        if isinstance(item, dict | list):
            yield level, item
            inner = item.values() if isinstance(item, dict) else item
            pending += [(level + 1, one) for one in inner]


def _is_unicode(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:80]!r} stands twice")
    return found


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _whole(digits: str) -> int:
    # 20 characters are a sign and what 64 bits hold; int() itself takes its time for more.
    number = int(digits) if len(digits) <= 20 else 1 << 64
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"{digits[:40]} is over 64 bits")
    return number


def _real(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError(f"{digits[:40]} is out of range")
    return number


_STRICT = json.JSONDecoder(
    object_pairs_hook=_without_repeats,
    parse_constant=_no_number,
    parse_int=_whole,
    parse_float=_real,
)
