"""`python -m tools.reference`: write docs/reference; `--check`: only say which pages are stale."""

import sys
from pathlib import Path

from tools.reference.pages import pages

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def stale() -> list[Path]:
    """The pages that differ from what the code says now."""
    return [
        FOLDER / name
        for name, text in pages().items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text("utf-8") != text
    ]


def main(*, check: bool) -> int:
    """Exit code 1 where pages were only to be checked and one is stale."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = stale()
    for page in found:
        print(f"{'stale' if check else 'written'}: docs/reference/{page.name}", file=sys.stderr)
        if not check:
            page.write_text(pages()[page.name], "utf-8")
    if check and found:
        print("fix:   python -m tools.reference", file=sys.stderr)
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main(check=sys.argv[1:] == ["--check"]))
