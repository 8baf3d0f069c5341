"""What README and ARCHITECTURE show is true: their commands run, their files exist, their tables hold."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.pipeline_file import read_pipeline_file
from plugins.builtin import BUILTIN
from plugins.functions import FUNCTIONS
from services.embedded.jars import ROOT
from tests.e2e.conftest import Demonstrated
from tests.e2e.reading import NOT_RUN, Reader, blocks_of

HOW_TOS = sorted(f"docs/how-to/{path.name}" for path in (ROOT / "docs/how-to").glob("*.md"))
PAGES = ("README.md", "ARCHITECTURE.md", "docs/pipelines.md", "docs/tutorial.md", *HOW_TOS)
ELSEWHERE = ("./flexcore demo",)
"""Commands that the shared stack is made by, or that never end."""


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(name: str) -> Iterator[str]:
    for block in blocks(page(name), "console"):
        yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md"])
def test_commands_of_the_documents_run(demonstrated: Demonstrated, name: str) -> None:
    product = demonstrated.product
    places = product.endpoints
    shown = [command for command in commands(name) if command not in ELSEWHERE]
    assert shown

    for command in shown:
        # The documents name the usual ports; this stack took free ones.
        line = command.replace("http://127.0.0.1:8350", places["api"])
        line = line.replace("http://127.0.0.1:6066", places["projector"])
        if "produce_command.py" in line:
            line += f" --bootstrap {places['kafka']} --registry {places['registry']}"
        assert product.shell(line).stdout, command


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """Somebody with an empty home, which PostgreSQL's account can reach, unlike pytest's folders."""
    home = Path(tempfile.mkdtemp(prefix="flexcore-reader-"))
    home.chmod(0o755)
    reader = Reader(home)
    try:
        yield reader
    finally:
        reader.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("name", ["docs/tutorial.md", *HOW_TOS])
def test_a_reader_comes_through(reader: Reader, name: str) -> None:
    reader.follow(name)


@pytest.mark.parametrize("name", ["docs/tutorial.md", *HOW_TOS])
def test_what_is_not_run_says_why_and_is_the_exception(name: str) -> None:
    text = page(name)
    found = list(blocks_of(text))

    assert len(found) == len(re.findall(r"^```\w", text, re.MULTILINE)), "a block is not understood"
    left_out = [block for block in found if not block.runs]
    assert len(left_out) == text.count(NOT_RUN), "a reason stands above no block"
    assert {block.language for block in left_out} <= {"console"}
    assert len(left_out) <= 2 or name == "docs/how-to/docker.md"


def test_the_pipeline_of_the_readme_is_the_one_in_examples() -> None:
    (shown,) = blocks(page("README.md"), "yaml")

    assert shown == page("examples/warm-days.yaml")


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda f: f.name)
def test_example_pipelines_can_be_read(file: Path) -> None:
    assert read_pipeline_file(file.read_bytes()).pipeline_id == file.stem


@pytest.mark.parametrize("name", PAGES)
def test_files_that_a_document_names_exist(name: str) -> None:
    text = page(name)
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.[a-z]+)`", text)

    base = (ROOT / name).parent
    missing = [link for link in linked if not (base / link).exists()]
    missing += [path for path in named if not (ROOT / path).exists()]
    assert missing == []


def test_every_function_of_the_dialect_is_documented() -> None:
    text = page("docs/pipelines.md")

    for function in FUNCTIONS.values():
        assert f"| `{function.signature}` | {function.meaning} |" in text


def test_every_built_in_step_is_documented() -> None:
    text = page("docs/pipelines.md")

    assert set(re.findall(r"^\| `(flexcore\.\w+)` \|", text, re.MULTILINE)) == set(BUILTIN)
