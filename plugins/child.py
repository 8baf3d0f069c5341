"""The child's side: read a call, run its step, answer; end when the host ends.

Everything a step can raise becomes an answer; everything else ends this process, and the host says so.
"""

import fcntl
import gc
import importlib
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, cast

import orjson

from domain.errors import FlexCoreError, Unavailable
from plugins.files import Files
from plugins.folder_blob_store import FolderBlobStore
from plugins.frames import FrameReader, Message, frame_of
from plugins.outside import Outside
from plugins.step_call import MAX_OUTPUT_BYTES, parts_of
from plugins.steps import Step, StepContext, StepFailed

_RECEIVE_BYTES = 64 * 1024
_MAX_OPEN_FILES = 256
_PR_SET_CHILD_SUBREAPER = 36


def main(socket_descriptor: int, lifeline: int) -> None:
    """Serve calls until the socket closes."""
    _end_with_host(lifeline)
    _adopt_orphans()
    with socket.socket(fileno=socket_descriptor) as connection:
        reader = FrameReader()
        server: _Server | None = None
        while data := connection.recv(_RECEIVE_BYTES):
            for message in reader.feed(data):
                if server is None:
                    server = _Server(message)
                    connection.sendall(frame_of({"ready": True}))
                else:
                    connection.sendall(frame_of(server.answer(message)))


class _Server:
    """The settings of the first message, and the steps imported so far."""

    def __init__(self, hello: Message) -> None:
        self._table = cast(dict[str, str], hello["table"])
        self._blobs = FolderBlobStore(Path(str(hello["blobs"])))
        self._files = Files(Path(str(hello["files_root"])))
        self._outside = Outside.from_json(cast(Message, hello["outside"]))
        self._steps: dict[str, Step] = {}
        _limit_resources(cast(int, hello["max_memory_bytes"]))
        # What is loaded by now lives as long as the process: nothing to look through per step.
        gc.freeze()

    def answer(self, call: Message) -> Message:
        """Run one call; what the step printed is out before the answer is."""
        try:
            answer: Message = {"output": self._output(call)}
        except Exception as error:
            answer = _failure(error)
        sys.stdout.flush()
        sys.stderr.flush()
        return {"number": call["number"], "left_processes": _has_children(), **answer}

    def _output(self, call: Message) -> bytes:
        run, step, attempt = parts_of(str(call["key"]))
        context = StepContext(
            tenant=str(call["tenant"]),
            run=run,
            step=step,
            attempt=attempt,
            blobs=self._blobs,
            files=self._files,
            outside=self._outside,
        )
        config = orjson.loads(cast(bytes, call["config"]))
        return _checked(self._step(str(call["uses"]))(config, context))

    def _step(self, uses: str) -> Step:
        if uses not in self._steps:
            module, _, function = self._table[uses].partition(":")
            self._steps[uses] = cast(Step, getattr(importlib.import_module(module), function))
        return self._steps[uses]


def _checked(output: Any) -> bytes:
    if not isinstance(output, dict):
        kind = type(output).__name__
        raise StepFailed("plugin.bad_output", f"the output is a {kind}; a JSON object is required")
    try:
        text = orjson.dumps(output)
    except TypeError as error:
        raise StepFailed("plugin.bad_output", f"the output is no JSON: {error}") from error
    if len(text) > MAX_OUTPUT_BYTES:
        raise StepFailed(
            "plugin.output_too_large",
            f"the output is {len(text)} bytes; at most {MAX_OUTPUT_BYTES} are allowed, put more in blobs",
        )
    return text


def _failure(error: Exception) -> Message:
    match error:
        case StepFailed():
            return _failed(error.code, error.message, retryable=error.retryable)
        case FlexCoreError():
            return _failed(error.code, error.message, retryable=isinstance(error, Unavailable))
        case MemoryError():
            return _failed(
                "plugin.out_of_memory", "the step needs more memory than it may use", retryable=True
            )
        case _:
            frames = traceback.extract_tb(error.__traceback__)
            place = f"{frames[-1].name}, line {frames[-1].lineno}" if frames else "unknown place"
            return _failed(
                "plugin.failed", f"{type(error).__name__}: {error} (in {place})", retryable=True
            )


def _failed(code: str, message: str, *, retryable: bool) -> Message:
    return {"code": code, "message": message[:4_000], "retryable": retryable}


def _has_children() -> bool:
    """Whether the step left processes behind, its orphans included; one system call."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _end_with_host(lifeline: int) -> None:
    """SIGKILL for the whole group when the host is gone, even if a step never lets Python run.

    The kernel sends it when the pipe's last writer is closed; elsewhere than on Linux a thread does.
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    else:
        threading.Thread(target=_wait_for_end, args=(lifeline,), daemon=True).start()


def _wait_for_end(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def _adopt_orphans() -> None:
    """Make daemons that a step forks our children, so that the host finds them below us."""
    if sys.platform == "linux":
        import ctypes  # only here: it takes 5 ms

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _limit_resources(max_memory_bytes: int) -> None:
    """No core dumps, few files, bounded memory; a lower limit that already stands is kept."""
    limits = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
        (resource.RLIMIT_AS, max_memory_bytes),
    )
    for kind, wanted in limits:
        hard = resource.getrlimit(kind)[1]
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (limit, limit))
