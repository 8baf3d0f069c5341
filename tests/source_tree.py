"""The source tree as syntax trees, for tests of what the code itself promises."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "domain",
    "schemas",
    "streams",
    "agents",
    "projections",
    "plugins",
    "gateway",
    "security",
    "observability",
    "services",
)


def source(*packages: str) -> Iterator[tuple[Path, ast.Module]]:
    """(path below the root, tree) of every module of `packages`."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT), _parsed(path)


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))
