"""docs/reference/errors.md: a section for each code, from the table of families and from what is known of it.

domain/errors.py ─► family, HTTP status, exit code ┐
tools/reference/meanings.py ─► what it means, what to do ┴─► a section; a test finds codes that lack one
"""

from collections.abc import Iterator
from itertools import groupby

from domain.errors import CODES, FlexCoreError
from tools.reference.markdown import anchor, table
from tools.reference.meanings import MEANINGS

INTRO = """# Errors

Every error has a code of two words, `area.what`. Codes are added and never renamed, so programs may rely on them. The command
line prints `error[<code>]: what`, `cause:` and `fix:`; the api answers `application/problem+json` with a member `code`; an
outcome on Kafka has the header `ce_errorcode`; a step or a run that failed has it under `error.code`.

The family of a code says who must act, and is all that HTTP status and exit code depend on:
"""
ALONE = {
    "request.no_such_path": "HTTP 404 · exit code 3",
    "request.method_not_allowed": "HTTP 405 · exit code 1",
    "internal.error": "HTTP 500 · exit code 1",
    "usage": "exit code 2",
}
"""Codes that belong to no family, and how they show."""
WHERE = {
    "setup": "the script `flexcore` · exit code 1",
    **dict.fromkeys(("plugin", "http", "step"), "`error.code` of a step"),
    "execution": "`error.code` of a run",
}
"""How the codes show that belong to no family, by area."""


def page() -> str:
    """The families, the list of all codes, and their sections by area."""
    codes = sorted(MEANINGS)
    contents = ((f"[`{code}`](#{anchor(code)})", _shows(code)) for code in codes)
    told = [INTRO, _families(), "## All codes\n", table(("Code", "Shows as"), contents)]
    for area, group in groupby(codes, lambda code: code.partition(".")[0]):
        told.append(f"## {area.capitalize()}\n")
        told += [part for code in group for part in _section(code)]
    return "\n".join(told)


def _families() -> str:
    rows = (
        (f"`{family.__name__}`", _who(family), str(family.http_status), str(family.exit_code))
        for family in FlexCoreError.__subclasses__()
    )
    return table(("Family", "Who must act", "HTTP status", "Exit code"), rows)


def _who(family: type[FlexCoreError]) -> str:
    """What the tree at the top of domain/errors.py says."""
    from domain import errors

    lines = (errors.__doc__ or "").splitlines()
    (line,) = [one for one in lines if f"── {family.__name__} " in one]
    return line.partition(family.__name__)[2].strip()


def _section(code: str) -> Iterator[str]:
    meaning = MEANINGS[code]
    yield f"### {code}\n"
    yield f"{_shows(code)}\n"
    yield f"{meaning.means}\n"
    yield f"**What to do:** {meaning.fix}\n"


def _shows(code: str) -> str:
    if code in CODES:
        family = CODES[code]
        return f"`{family.__name__}` · HTTP {family.http_status} · exit code {family.exit_code}"
    return ALONE.get(code) or WHERE[code.partition(".")[0]]
