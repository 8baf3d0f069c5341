"""The plugin host: a step ends in one result or is cancelled, and hurts only itself."""

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plugins.builtin import BUILTIN
from plugins.host import PluginHost
from plugins.pool import PluginHostSettings
from plugins.step_call import Failed, StepCall, StepResult, Succeeded
from tests.plugins.conftest import StartHost
from tests.plugins.hosting import PATIENCE_S, Hosted, told_pid, wait_until_gone

CLONE = Path(__file__).resolve().parents[2]


def test_a_step_gets_its_config_and_its_key(host: Hosted) -> None:
    result = host.start("hostile.echo", key="run-7/read/3", x=[1, "ä"]).get(timeout=PATIENCE_S)
    assert isinstance(result, Succeeded)
    assert {**result.output, "pid": 0} == {"pid": 0, "run": "run-7", "attempt": 3, "x": [1, "ä"]}
    assert 0 < result.duration_s < PATIENCE_S


def test_steps_run_in_another_process_that_stays(host: Hosted) -> None:
    pids = {host.output("hostile.echo")["pid"] for _ in range(5)}
    assert pids == set(host.host.pids())
    assert os.getpid() not in pids


def test_the_host_imports_no_step() -> None:
    code = "import sys, plugins.host, plugins.templates; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=CLONE, check=True, capture_output=True, text=True
    ).stdout.split()
    steps = {place.partition(":")[0] for place in BUILTIN.values()}
    assert not steps & set(loaded)
    assert "psycopg" not in loaded


def test_a_child_is_replaced_after_its_number_of_steps(start_host: StartHost) -> None:
    host = start_host(steps_per_child=2)
    pids = [host.output("hostile.echo")["pid"] for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_step_sees_nothing_of_its_host(host: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXCORE__SECRET", "x")
    seen = host.output("hostile.surroundings")
    assert isinstance(seen["environment"], dict)
    assert seen["environment"].keys() <= {"HOME", "TMPDIR", "LC_ALL", "TZ", "LC_CTYPE"}
    assert (seen["folder"], seen["stdin"], seen["group_of_its_own"]) == ([], "", True)
    assert isinstance(seen["descriptors"], list)
    # Three standard ones, the socket, the lifeline, and the two ends of the hostile module's pipe.
    assert len(seen["descriptors"]) == 7


def test_an_unknown_step_fails_for_good(host: Hosted) -> None:
    assert not host.host.known("acme.unknown")
    assert host.host.known("flexcore.csv_read")
    failed = host.failure("acme.unknown")
    assert (failed.code, failed.retryable) == ("plugin.unknown", False)
    assert "flexcore.csv_read" in failed.message


def test_a_config_that_is_no_json_fails(host: Hosted) -> None:
    assert host.failure("hostile.echo", x=object()).code == "plugin.bad_config"


@pytest.mark.parametrize(
    ("uses", "code", "says"),
    [
        ("exit_without_answer", "plugin.crashed", "exited with 3; it printed last: last words"),
        ("raise_system_exit", "plugin.crashed", "exited with 4"),
        (
            "die_by_signal",
            "plugin.crashed",
            f"signal {signal.SIGSEGV.value}, as where it needs more",
        ),
        ("exit_leaving_a_child", "plugin.crashed", "exited with 5"),
        ("send_garbage", "plugin.bad_reply", "no msgpack"),
        ("send_huge_length", "plugin.bad_reply", "a frame of 2147483648 bytes"),
        ("answer_for_another", "plugin.bad_reply", "another answer"),
        ("large_output", "plugin.output_too_large", "at most 32768"),
        ("no_json", "plugin.bad_output", "no JSON"),
        ("no_map", "plugin.bad_output", "a JSON object is required"),
        ("raise_error", "plugin.failed", "ValueError: out of luck (in raise_error"),
        ("raise_step_failed", "acme.no_luck", "no luck today"),
        ("close_output", "plugin.failed", "nobody hears me"),
        ("need_memory", "plugin.out_of_memory", "more memory"),
    ],
)
def test_a_bad_step_fails_with_its_reason_and_the_next_runs(
    host: Hosted, uses: str, code: str, says: str
) -> None:
    failed = host.failure(f"hostile.{uses}")
    assert (failed.code, says in failed.message) == (code, True), failed
    assert host.output("hostile.echo", x=1)["x"] == 1


def test_a_step_that_prints_much_succeeds(host: Hosted) -> None:
    assert host.output("hostile.print_much") == {}


def test_a_step_that_prints_without_end_is_ended(host: Hosted) -> None:
    failed = host.failure("hostile.print_for_ever")
    assert (failed.code, failed.retryable) == ("plugin.too_much_output", False)
    assert len(failed.message) < 10_000


def test_a_step_over_its_time_is_ended(host: Hosted) -> None:
    failed = host.failure("hostile.hang", timeout_s=0.1)
    assert (failed.code, failed.retryable) == ("plugin.timeout", True)
    assert "no answer within 0.1 s" in failed.message
    assert host.output("hostile.echo", x=1)["x"] == 1


def test_a_step_that_ignores_sigterm_is_killed(start_host: StartHost) -> None:
    host = start_host(kill_after_s=0.1)
    failed = host.failure("hostile.ignore_sigterm", timeout_s=0.1)
    assert (failed.code, failed.duration_s >= 0.2) == ("plugin.timeout", True)


@pytest.mark.parametrize("uses", ["leave_a_child", "leave_a_daemon"])
def test_processes_that_a_step_leaves_end_with_it(host: Hosted, uses: str) -> None:
    left = host.output(f"hostile.{uses}")["left"]
    assert isinstance(left, int)
    host.output("hostile.echo")
    wait_until_gone(left)


def test_a_hanging_step_does_not_stop_its_neighbours(start_host: StartHost) -> None:
    host = start_host(size=2)
    hanging = host.start("hostile.hang")
    assert [host.output("hostile.echo", x=x)["x"] for x in range(20)] == list(range(20))
    assert hanging.empty()


def test_a_call_larger_than_the_sockets_buffer_arrives(host: Hosted) -> None:
    text = "x" * 3_000_000
    failed = host.failure("hostile.echo", x=text)
    assert failed.code == "plugin.output_too_large"
    assert host.failure("hostile.echo", x=text * 3).code == "plugin.bad_config"


def test_a_full_queue_says_so(start_host: StartHost) -> None:
    host = start_host(queue_limit=1)
    host.output("hostile.echo")
    host.start("hostile.hang")
    waiting = host.start("hostile.echo")
    failed = host.failure("hostile.echo")
    assert (failed.code, failed.retryable) == ("plugin.queue_full", True)
    assert waiting.empty()


def test_a_cancelled_step_is_dead_and_silent(host: Hosted, tmp_path: Path) -> None:
    pipe = tmp_path / "told"
    running: list[queue.Queue[StepResult]] = []
    pid = told_pid(
        pipe, lambda: running.append(host.start("hostile.hang", key="lost/a/1", tell=str(pipe)))
    )
    queued = host.start("hostile.echo", key="lost/b/1")
    kept = host.start("hostile.echo", key="kept/a/1")
    host.host.cancel(lambda key: key.startswith("lost/"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert isinstance(kept.get(timeout=PATIENCE_S), Succeeded)
    assert (running[0].empty(), queued.empty()) == (True, True)


def test_a_stopped_step_may_end_well_and_is_silent(host: Hosted, tmp_path: Path) -> None:
    pipe, tidied = tmp_path / "told", tmp_path / "tidied"
    running: list[queue.Queue[StepResult]] = []
    config = {"tell": str(pipe), "tidied": str(tidied)}
    pid = told_pid(
        pipe, lambda: running.append(host.start("hostile.end_well", key="lost/a/1", **config))
    )
    queued = host.start("hostile.echo", key="lost/b/1")
    kept = host.start("hostile.echo", key="kept/a/1")
    host.host.stop(lambda key: key.startswith("lost/"))
    wait_until_gone(pid)
    assert tidied.read_text() == "yes"
    assert isinstance(kept.get(timeout=PATIENCE_S), Succeeded)
    assert (running[0].empty(), queued.empty()) == (True, True)


def test_a_stopped_step_that_does_not_end_is_killed(start_host: StartHost, tmp_path: Path) -> None:
    host = start_host(kill_after_s=0.1)
    pipe = tmp_path / "told"
    running: list[queue.Queue[StepResult]] = []
    pid = told_pid(
        pipe,
        lambda: running.append(
            host.start("hostile.ignore_sigterm", key="lost/a/1", tell=str(pipe))
        ),
    )
    host.host.stop(lambda key: key == "lost/a/1")
    wait_until_gone(pid)
    assert host.output("hostile.echo", x=1)["x"] == 1
    assert running[0].empty()


def test_a_callback_may_submit_and_cancel(host: Hosted) -> None:
    results: queue.Queue[StepResult] = queue.Queue()
    call = StepCall("run/a/1", "hostile.echo", {}, None, "default")

    def again(result: StepResult) -> None:
        host.host.cancel(lambda key: key == "nobody")
        host.host.submit(call, results.put)

    host.host.submit(call, again)
    assert isinstance(results.get(timeout=PATIENCE_S), Succeeded)


def test_close_ends_children_and_calls_nothing(host: Hosted) -> None:
    host.output("hostile.echo")
    pids = host.host.pids()
    assert len(pids) == 1
    running = host.start("hostile.hang")
    host.host.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert running.empty()
    with pytest.raises(RuntimeError, match="closed"):
        host.start("hostile.echo")


def test_an_error_in_a_callback_is_fatal_and_told(tmp_path: Path) -> None:
    told: queue.Queue[Exception] = queue.Queue()
    settings = PluginHostSettings(blobs=tmp_path, files_root=tmp_path, size=1)
    host = PluginHost(settings, on_fatal=told.put)

    def fail(result: StepResult) -> None:
        raise LookupError("the engine's mistake")

    host.submit(StepCall("run/a/1", "acme.unknown", {}, None, "default"), fail)
    assert isinstance(told.get(timeout=PATIENCE_S), LookupError)
    host.close()


def test_children_that_cannot_start_fail_the_steps_that_wait(
    start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    failed = start_host().failure("hostile.echo")
    assert (failed.code, failed.retryable) == ("plugin.cannot_start", True)


@pytest.mark.parametrize("uses", ["hang", "ignore_sigterm", "hang_without_python"])
def test_children_end_when_their_host_is_killed(tmp_path: Path, uses: str) -> None:
    pipe = tmp_path / "told"
    services: list[subprocess.Popen[bytes]] = []
    script = CLONE / "tests" / "plugins" / "service.py"
    command = [sys.executable, str(script), str(CLONE), str(tmp_path), f"hostile.{uses}", str(pipe)]
    pid = told_pid(pipe, lambda: services.append(subprocess.Popen(command)))
    services[0].kill()
    services[0].wait()
    wait_until_gone(pid)


def test_what_a_killed_host_left_in_its_scratch_folder_is_gone(
    start_host: StartHost, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "1").mkdir(parents=True)
    (scratch / "1" / "left").write_text("x")
    host = start_host(scratch=scratch)
    assert host.output("hostile.surroundings")["folder"] == []
    host.host.close()
    assert not scratch.exists()


def test_results_come_on_one_thread_and_once(start_host: StartHost) -> None:
    host = start_host(size=2)
    threads: set[str] = set()
    results: list[StepResult] = []
    done = threading.Event()

    def note(result: StepResult) -> None:
        threads.add(threading.current_thread().name)
        results.append(result)
        if len(results) == 200:
            done.set()

    for number in range(200):
        host.host.submit(StepCall(f"run/s{number}/1", "hostile.echo", {}, None, "default"), note)
    assert done.wait(PATIENCE_S)
    assert threads == {"plugin-host"}
    assert not [result for result in results if isinstance(result, Failed)]


@pytest.mark.parametrize("key", ["", "run", "run/step", "run/step/x", "a/b/c/1"])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="execution/step/attempt"):
        StepCall(key, "flexcore.filter", {}, None, "default")
