"""A reader of the documentation: saves the files that a page shows, types its commands, compares.

```console            lines with `$ ` are typed, in one shell per page; the others must come, in this order
```yaml title="x"     is saved as x
*Not run by the tests: …*   above a block: it is only looked at
"""

import json
import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.embedded.jars import ROOT

NOT_RUN = "*Not run by the tests:"
FIRST = ("docs/tutorial.md", "docs/how-to/background.md")
"""The pages that every other one stands on: they make the folder and start the stack."""

_BLOCK = re.compile(
    rf"^(?P<unrun>{re.escape(NOT_RUN)} [^\n]+\*\n\n)?"
    r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<body>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
_PASSING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z"), "<time>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"\d+@\d+"), "<position>"),
    (re.compile(r"\[\d+(, \d+)*\]"), "<processes>"),
    (re.compile(r"\d+\.\d+"), "<number>"),
    (re.compile(r"\s+"), " "),
)
"""What is another one each time a command is run."""


@dataclass(frozen=True)
class Block:
    """A fenced block; `title` is the file it is saved as, `runs` whether its commands are typed."""

    language: str
    title: str
    body: str
    runs: bool


@dataclass(frozen=True)
class Typed:
    """A command with the lines that the page shows below it; "..." stands for any number of lines."""

    command: str
    shown: tuple[str, ...]


def blocks_of(text: str) -> Iterator[Block]:
    """The fenced blocks of a page that have a language."""
    for found in _BLOCK.finditer(text):
        yield Block(found["language"], found["title"] or "", found["body"], not found["unrun"])


def typed_in(block: Block) -> list[Typed]:
    """The commands of a console block; a line that ends with a backslash goes on in the next."""
    typed: list[Typed] = []
    for line in block.body.splitlines():
        last = typed[-1] if typed else None
        if line.startswith("$ "):
            typed.append(Typed(line[2:], ()))
        elif last is not None and not last.shown and last.command.endswith("\\"):
            typed[-1] = Typed(f"{last.command}\n{line}", ())
        elif last is not None:
            typed[-1] = Typed(last.command, (*last.shown, line))
    return typed


def missing(shown: tuple[str, ...], printed: str) -> str | None:
    """The first shown line that was not printed behind those before it."""
    lines = iter([_lasting(line) for line in printed.splitlines()])
    for line in shown:
        if line.strip() not in ("", "...") and _lasting(line) not in lines:
            return line
    return None


def _lasting(line: str) -> str:
    for pattern, name in _PASSING:
        line = pattern.sub(name, line)
    return line.strip()


class Reader:
    """Follows pages one after the other, as the one who has a clone and an empty home."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._read: set[str] = set()

    @property
    def folder(self) -> Path:
        """Where the tutorial works."""
        return self._home / "rides"

    def follow(self, page: str) -> None:
        """Do what a page says, and before it what the pages say that it stands on."""
        for name in (*FIRST, page):
            if name not in self._read:
                # Also where it fails: what has begun is not begun again.
                self._read.add(name)
                self._do(name)

    def stop(self) -> None:
        """End the stack, whatever was read."""
        if self.folder.exists():
            subprocess.run(
                [ROOT / "flexcore", "stop"], cwd=self.folder, env=self._environment(), check=False
            )

    def _do(self, page: str) -> None:
        begins = page == FIRST[0]
        shell = Shell(ROOT if begins else self.folder, self._environment())
        try:
            if not begins:
                shell.type(f'clone={ROOT}; export PATH="$clone:$PATH"')
            for block in blocks_of((ROOT / page).read_text("utf-8")):
                if block.title:
                    self._save(shell, block)
                elif block.language == "console" and block.runs:
                    self._type(shell, page, block)
        finally:
            shell.close()

    def _save(self, shell: "Shell", block: Block) -> None:
        folder = Path(shell.type("pwd")[1].strip())
        assert folder.is_relative_to(self._home), f"{block.title} would be saved into the clone"
        (folder / block.title).write_text(block.body, "utf-8")

    def _type(self, shell: "Shell", page: str, block: Block) -> None:
        for typed in typed_in(block):
            status, printed = shell.type(self._here(typed.command))
            assert status == 0, f"{page}: {typed.command}\n{printed}"
            lacks = missing(typed.shown, printed)
            assert lacks is None, f"{page}: {typed.command}\nlacks: {lacks}\nprinted: {printed}"

    def _here(self, command: str) -> str:
        """The pages name the usual ports; this stack may have got others."""
        endpoints = self.folder / ".flexcore" / "endpoints.json"
        if not endpoints.exists():
            return command
        found = json.loads(endpoints.read_text("utf-8"))
        for usual, here in (
            ("http://127.0.0.1:8350", found["api"]),
            ("http://127.0.0.1:6066", found["projector"]),
            ("127.0.0.1:9092", found["kafka"]),
        ):
            command = command.replace(usual, here)
        return command

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "FLEXCORE" not in name}
        return {**kept, "HOME": str(self._home)}


class Shell:
    """A bash that keeps its folder and its variables from one line to the next."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._mark = f"--- {uuid.uuid4()}"
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, command: str) -> tuple[int, str]:
        """Run a command; its exit code, and what it printed on stdout and stderr."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        # Nothing but this shell may read what is typed next.
        self._bash.stdin.write(f'{{ {command}\n}} </dev/null; echo "{self._mark} $?"\n')
        self._bash.stdin.flush()
        printed: list[str] = []
        for line in self._bash.stdout:
            before, mark, status = line.rpartition(self._mark)
            printed.append(before if mark else line)
            if mark:
                return int(status), "".join(printed)
        raise AssertionError(f"the shell ended at: {command}\n{''.join(printed)}")

    def close(self) -> None:
        """End it, and what was left in its background."""
        assert self._bash.stdin is not None
        self._bash.stdin.write("kill $(jobs -p) 2>/dev/null; wait; exit 0\n")
        self._bash.stdin.close()
        self._bash.wait(30)
