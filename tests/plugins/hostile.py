"""Steps that behave badly, each in one way. They run in the host's child processes only."""

import ctypes
import os
import signal
import socket
import stat
import struct
import sys
from contextlib import suppress
from pathlib import Path

from plugins.steps import Config, Output, StepContext, StepFailed

# Steps look at a pipe nobody writes, instead of sleeping: they hang until they are killed.
_NEVER, _HELD_OPEN = os.pipe()


def echo(config: Config, context: StepContext) -> Output:
    return {"pid": os.getpid(), "run": context.run, "attempt": context.attempt, **config}


def surroundings(config: Config, context: StepContext) -> Output:
    return {
        "environment": dict(os.environ),
        "folder": [path.name for path in Path.cwd().iterdir()],
        "stdin": sys.stdin.read(),
        "group_of_its_own": os.getpgrp() == os.getpid(),
        "descriptors": _descriptors(),
        "printed": print("to nobody"),
    }


def exit_without_answer(config: Config, context: StepContext) -> Output:
    print("last words", file=sys.stderr, flush=True)
    os._exit(3)


def raise_system_exit(config: Config, context: StepContext) -> Output:
    raise SystemExit(4)


def die_by_signal(config: Config, context: StepContext) -> Output:
    ctypes.string_at(0)
    return {}


def hang(config: Config, context: StepContext) -> Output:
    _announce(config)
    os.read(_NEVER, 1)
    return {}


def ignore_sigterm(config: Config, context: StepContext) -> Output:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return hang(config, context)


def end_well(config: Config, context: StepContext) -> Output:
    """Asked to end, it tidies up first."""

    def tidy(*_: object) -> None:
        Path(str(config["tidied"])).write_text("yes")
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, tidy)
    return hang(config, context)


def hang_without_python(config: Config, context: StepContext) -> Output:
    """Keeps the interpreter lock: no thread and no handler of Python runs any more."""
    _announce(config)
    ctypes.PyDLL(None).pause()
    return {}


def print_much(config: Config, context: StepContext) -> Output:
    for _ in range(300):
        sys.stdout.write("x" * 10_000)
    return {}


def print_a_gigabyte(config: Config, context: StepContext) -> Output:
    for _ in range(16_384):
        os.write(1, b"x" * 65_536)
    return {}


def print_for_ever(config: Config, context: StepContext) -> Output:
    while True:
        os.write(1, b"x" * 65_536)


def close_output(config: Config, context: StepContext) -> Output:
    os.close(1)
    os.close(2)
    raise RuntimeError("nobody hears me")


def large_output(config: Config, context: StepContext) -> Output:
    return {"text": "x" * 40_000}


def no_json(config: Config, context: StepContext) -> Output:
    return {"value": object()}


def no_map(config: Config, context: StepContext) -> Output:
    return ["a list"]  # type: ignore[return-value]  # what a careless author returns


def raise_error(config: Config, context: StepContext) -> Output:
    raise ValueError("out of luck")


def raise_step_failed(config: Config, context: StepContext) -> Output:
    raise StepFailed("acme.no_luck", "no luck today", retryable=True)


def need_memory(config: Config, context: StepContext) -> Output:
    return {"size": len(bytearray(8 * 1024**3))}


def send_garbage(config: Config, context: StepContext) -> Output:
    _to_host(struct.pack(">I", 4) + b"\xc1\xc1\xc1\xc1")
    return hang({}, context)


def send_huge_length(config: Config, context: StepContext) -> Output:
    _to_host(struct.pack(">I", 2**31))
    return hang({}, context)


def answer_for_another(config: Config, context: StepContext) -> Output:
    from plugins.frames import frame_of

    _to_host(frame_of({"number": 10**9, "output": b"{}", "left_processes": False}))
    return hang({}, context)


def leave_a_child(config: Config, context: StepContext) -> Output:
    """A child that stays in the group and keeps socket and output open."""
    pid = os.fork()
    if pid == 0:
        os.read(_NEVER, 1)
    return {"left": pid}


def leave_a_daemon(config: Config, context: StepContext) -> Output:
    """A daemon by the book: forked twice, in a session of its own."""
    told, tells = os.pipe()
    if os.fork() == 0:
        os.setsid()
        pid = os.fork()
        if pid == 0:
            os.read(_NEVER, 1)
        os.write(tells, str(pid).encode())
        os._exit(0)
    return {"left": int(os.read(told, 20))}


def exit_leaving_a_child(config: Config, context: StepContext) -> Output:
    """Only looking at the process tells: the child holds the socket, so no end is read from it."""
    if os.fork() == 0:
        os.read(_NEVER, 1)
    os._exit(5)


def _announce(config: Config) -> None:
    """Tell the test that the step runs: it waits for the pid in a named pipe."""
    if "tell" in config:
        Path(str(config["tell"])).write_text(str(os.getpid()))


def _to_host(data: bytes) -> None:
    with socket.socket(fileno=os.dup(_socket_to_host())) as connection:
        connection.sendall(data)


def _socket_to_host() -> int:
    return next(number for number in _descriptors() if stat.S_ISSOCK(os.fstat(number).st_mode))


def _descriptors() -> list[int]:
    """Open ones, found by asking for each: a listing would have one of its own."""
    found: list[int] = []
    for number in range(256):
        with suppress(OSError):
            os.fstat(number)
            found.append(number)
    return found
