"""Pipeline files in YAML and JSON: a file or `Invalid`, and what is wrong with it always has a line."""

from collections.abc import Iterable

from domain.definition import problems
from domain.errors import Invalid
from gateway.pipeline_file import read_pipeline_file
from gateway.pipeline_problems import problems_of
from plugins.builtin import BUILTIN
from tests.fuzz.bounded import bounded

FILE = b"""pipeline_id: p
name: P
steps:
  - id: read
    uses: flexcore.csv_read
    with: {path: a.csv, n: 1.5}
  - id: store
    uses: flexcore.derive
    needs: [read]
    when: "steps.read.output.count > 0"
    retry: &r {attempts: 3, initial_s: 0.5, jitter: true}
    with: {rows: "${{ steps.read.output.rows }}", <<: *r}
"""


def check(data: bytes) -> None:
    with bounded():
        told = problems_of(data, BUILTIN)
        assert all(one.line >= 1 and one.column >= 0 and one.what for one in told)
        try:
            definition = read_pipeline_file(data).definition()
        except Invalid as error:
            assert error.code == "pipeline.invalid_definition"
            assert told, error.message
            return
        assert told or not list(problems(definition))
        definition.content_hash() if not told else None


def seeds() -> Iterable[bytes]:
    yield FILE
    yield b'{"pipeline_id": "p", "name": "P", "steps": [{"id": "a", "uses": "x.y", "with": {"k": 1}}]}'
    yield b"a: &a {k: 1}\nb: &b {<<: [*a, *a]}\nc: {<<: [*b, *b]}"
    yield b"a: [1, 0x1f, 12:30, .inf, ~, yes, 2012-01-01, !!binary aGk=]"
