"""Whatever the bytes are: what is found by `./flexcore fuzz` stays mended, and a slice of it runs here."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import __main__ as fuzz
from tests.fuzz.targets import TARGETS, recorded, target

INPUTS = [(name, path) for name in TARGETS for path in recorded(name)]


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=[f"{n}-{p.name}" for n, p in INPUTS])
def test_what_was_found_stays_mended(name: str, path: Path) -> None:
    target(name).check(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_seeds_and_changed_ones(name: str) -> None:
    checked, seeds = target(name).check, [b"", *target(name).seeds()]

    @given(st.sampled_from(seeds), st.integers(0, 2_000), st.binary(max_size=8), st.integers(0, 8))
    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    def changed(seed: bytes, at: int, instead: bytes, cut: int) -> None:
        checked(seed[:at] + instead + seed[at + cut :])

    for seed in seeds:
        checked(seed)
    changed()


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_any_bytes(name: str) -> None:
    @given(st.binary(max_size=300))
    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    def any_bytes(data: bytes) -> None:
        target(name).check(data)

    any_bytes()


# ── the command ──────────────────────────────────────────────────────────────────────────

FAKE_ATHERIS = """
import sys
class instrument_imports:
    def __init__(self, include): pass
    def __enter__(self): pass
    def __exit__(self, *_): pass
def instrument_func(function): return function
def Setup(arguments, one_input): globals().update(arguments=arguments, one_input=one_input)
def Fuzz():
    prefix = next(a for a in arguments if a.startswith("-artifact_prefix=")).partition("=")[2]
    print("#4096\\tpulse  cov: 321 ft: 400 corp: 9/9b lim: 4 exec/s: 100 rss: 40Mb")
    if {crashes}:
        open(prefix + "crash-1", "wb").write(b"the input")
        print("=== Uncaught Python exception: ===\\nAssertionError: planted")
        sys.exit(77)
    one_input(b"")
    print("stat::number_of_executed_units: 5000")
"""


@pytest.mark.parametrize("crashes", [False, True])
def test_a_finding_is_told_with_its_file_and_ends_with_1(
    crashes: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "atheris.py").write_text(FAKE_ATHERIS.replace("{crashes}", str(crashes)))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}:$PYTHONPATH exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(fuzz, "installed", lambda lock, environment: tmp_path)
    monkeypatch.setattr(fuzz, "CACHE", fuzz.ROOT / ".cache" / f"fuzz-{os.getpid()}")
    monkeypatch.setattr(sys, "argv", ["fuzz", "--seconds", "1", "positions"])
    try:
        code = fuzz.main()
        files = list(fuzz.CACHE.rglob("crash-1"))
    finally:
        for path in sorted(fuzz.CACHE.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        fuzz.CACHE.rmdir()
    told = capsys.readouterr().out
    assert code == int(crashes), told
    if crashes:
        (file,) = files
        assert f"./flexcore fuzz --input {file.relative_to(fuzz.ROOT)} positions" in told
        assert "AssertionError: planted" in told
    else:
        assert "5,000 inputs" in told
        assert "321 branches  nothing found" in told


def test_an_input_is_run_again_without_atheris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"execution/3@7")
    monkeypatch.setattr(sys, "argv", ["fuzz", "--input", str(file), "positions"])
    assert fuzz.main() == 0

    def broken(_: bytes) -> None:
        raise AssertionError("planted")

    monkeypatch.setattr(target("positions"), "check", broken)
    assert fuzz.main() == 1
    assert "AssertionError: planted" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["nowhere"], ["--input", "x"], ["--input", "x", "a", "b"]])
def test_words_that_make_no_sense_are_told(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz", *words])
    with pytest.raises(SystemExit) as ended:
        fuzz.main()
    assert ended.value.code == 2
    assert "target" in capsys.readouterr().err
