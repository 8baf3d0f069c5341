"""Markdown from values: tables, code, links to headings."""

import re
from collections.abc import Iterable, Sequence


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown already, on one line each."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines) + "\n"


def code(text: object) -> str:
    """As code, nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def link(heading: str, page: str = "") -> str:
    """A link to a heading of this or another page, under the heading's own words."""
    return f"[`{heading}`]({page}#{anchor(heading)})"


def anchor(heading: str) -> str:
    """What Markdown makes of a heading for links."""
    words = re.sub(r"[^\w\s-]", "", heading.lower()).strip()
    return re.sub(r"[\s-]+", "-", words)


def sentence(text: str) -> str:
    """On one line, beginning with a capital letter and ending with a full stop."""
    flat = " ".join(text.split())
    return flat[:1].upper() + flat[1:] + ("" if flat.endswith((".", ":", "…")) else ".")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
