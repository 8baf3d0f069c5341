"""`@on`: what a handler may be, and what a worker says of those that it cannot use."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.handler_modules import check_names, handlers_in
from agents.handlers import FOUND, Event, Handler, on
from domain.errors import Invalid
from domain.execution.messages import ExecutionFailed
from domain.pipeline.pipeline import PipelineActivated
from tests.agents.events import event, handler


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where modules can be imported from; what they bring is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before, loaded = list(FOUND), set(sys.modules)
    yield tmp_path
    FOUND[:] = before
    for name in set(sys.modules) - loaded:
        if name.startswith("acme"):
            del sys.modules[name]


def written(folder: Path, text: str, name: str = "acme") -> list[Handler]:
    (folder / f"{name}.py").write_text(f"from agents.handlers import on\n{text}")
    return handlers_in([name])


def refused(folder: Path, text: str) -> str:
    with pytest.raises(Invalid) as caught:
        written(folder, text)
    assert caught.value.code == "handler.invalid"
    return caught.value.message


def test_events_are_named_or_given_as_classes() -> None:
    @on("PipelineActivated", ExecutionFailed, "flexcore.execution.ExecutionCompleted")
    async def tell(_: Event) -> None: ...

    found = FOUND[-1][1]
    assert {cls.__name__ for cls in found.types} == {
        "PipelineActivated",
        "ExecutionFailed",
        "ExecutionCompleted",
    }
    assert found.contexts == {"pipeline", "execution"}
    assert (found.name, found.from_start) == ("tell", False)


def test_the_function_stays_what_it_was() -> None:
    seen = []

    @on(PipelineActivated)
    async def tell(told: Event) -> None:
        seen.append(told.id)

    with pytest.raises(StopIteration):
        tell(event()).__await__().__next__()
    assert seen == ["e1"]


def test_an_event_is_shown_as_the_api_shows_it() -> None:
    shown = event().json()
    assert "body" not in shown
    assert (shown["type"], shown["context"], shown["data"]) == (
        "PipelineActivated",
        "pipeline",
        {"pipeline_id": "p"},
    )


def test_the_handlers_of_a_package_are_those_below_it(folder: Path) -> None:
    (folder / "acme").mkdir()
    (folder / "acme" / "__init__.py").write_text("from acme import more\nimport acme_other\n")
    text = 'from agents.handlers import on\n@on("ExecutionFailed")\nasync def {}(event): ...\n'
    (folder / "acme" / "more.py").write_text(text.format("tell"))
    (folder / "acme_other.py").write_text(text.format("other"))
    assert [one.name for one in handlers_in(["acme"])] == ["tell"]


def test_an_unknown_event_is_told_with_the_nearest(folder: Path) -> None:
    told = refused(folder, '@on("ExecutionFail")\nasync def tell(event): ...')
    assert told == (
        "handler acme.tell: there is no event 'ExecutionFail'; the nearest is ExecutionFailed"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "no event"),
        ("'ExecutionFailed', attempts=0", "attempts is 0"),
        ("'ExecutionFailed', attempts=1000", "attempts is 1000"),
        ("'ExecutionFailed', timeout_s=0", "timeout_s is 0"),
        ("'ExecutionFailed', max_wait_s=float('inf')", "max_wait_s is inf"),
        ("'ExecutionFailed', first_wait_s=float('nan')", "first_wait_s is nan"),
        ("'ExecutionFailed', name='a b'", "its name 'a b'"),
        ("dict", "there is no event 'dict'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(folder: Path, arguments: str, said: str) -> None:
    told = refused(folder, f"@on({arguments})\nasync def tell(event): ...")
    assert told.startswith("handler acme.tell: ")
    assert said in told


def test_a_function_that_is_not_async_is_refused(folder: Path) -> None:
    told = refused(folder, "@on('ExecutionFailed')\ndef tell(event): ...")
    assert told == "handler acme.tell: it must be an `async def`"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError"),
        ("import nothing_like_this", "No module named 'nothing_like_this'"),
    ],
)
def test_a_module_that_fails_is_one_error(folder: Path, text: str, said: str) -> None:
    told = refused(folder, text)
    assert told.startswith("FLEXCORE__HANDLERS__MODULES: 'acme' cannot be imported: ")
    assert said in told
    assert told.endswith("mend it, or take it out of the setting")


def test_a_module_that_is_not_there_says_where_to_look() -> None:
    with pytest.raises(Invalid, match=r"'acme.tell' cannot be imported: .*PYTHONPATH\?$"):
        handlers_in(["acme.tell"])


def test_a_module_without_a_handler_is_a_mistake(folder: Path) -> None:
    assert refused(folder, "").startswith("module 'acme' has no handler")


def test_two_of_one_name_are_refused(folder: Path) -> None:
    twice = '@on("ExecutionFailed")\nasync def tell(event): ...\n' * 2
    with pytest.raises(Invalid, match=r"its name 'tell' is that of acme\.tell"):
        check_names(written(folder, twice))
    named = '@on("ExecutionFailed", name="{}")\nasync def tell(event): ...\n'
    check_names(written(folder, named.format("a") + named.format("b"), "acme_two"))


def test_no_modules_are_no_handlers() -> None:
    assert handlers_in([]) == []
    check_names([handler(None)])
