"""`./flexcore docs` builds every page, and refuses where a link leads nowhere."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}


def test_every_page_is_in_the_navigation() -> None:
    found = tomllib.loads((ROOT / "tools" / "site" / "zensical.toml").read_text("utf-8"))

    assert sorted(named(found["project"]["nav"])) == sorted(PAGES)


def named(entry: object) -> list[str]:
    """The pages of a part of the navigation."""
    match entry:
        case str():
            return [entry]
        case dict():
            return [page for inner in entry.values() for page in named(inner)]
        case list():
            return [page for inner in entry for page in named(inner)]
        case _:
            raise AssertionError(entry)


@pytest.mark.slow
def test_the_site_is_built_and_stands_on_nothing_from_elsewhere() -> None:
    built = subprocess.run(
        [ROOT / "flexcore", "docs"], capture_output=True, text=True, timeout=240, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr

    index = Path(built.stdout.split()[-1])
    assert index == ROOT / ".cache" / "site" / "index.html"
    loaded = re.findall(
        r'<(?:script|link|img)[^>]+(?:src|href)="?(https?://[^" >]+)', index.read_text()
    )
    assert loaded == []
    for page in PAGES - {"index.md"}:
        assert (index.parent / page.removesuffix(".md") / "index.html").exists(), page
