"""One child process as the host sees it: started, fed, listened to, ended.

`starting → idle ⇄ busy → retired`; the host decides, this file does the reading and writing.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from plugins.frames import FrameReader, Message, frame_of
from plugins.process_tree import kill_tree, terminate_group

OUTPUT_TAIL_BYTES = 64 * 1024
"""What is kept of a step's stdout and stderr, for the text of its failure."""
_READ_BYTES = 64 * 1024
_OUT_OF_MEMORY = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL})
"""Native code, orjson among it, does not look whether it got memory; the kernel kills at its limit."""
_CLONE_ROOT = Path(__file__).resolve().parent.parent
_ENTRY = (
    "import sys; sys.path.insert(0, sys.argv[1]); from plugins.child import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]))"
)


class ChildProcess:
    """A Python process of its own group, with nothing of ours but one socket and a lifeline.

    The lifeline is a pipe that nobody writes: its end tells the child that we are gone.
    """

    def __init__(self, scratch: Path, hello: Mapping[str, object]) -> None:
        """Start it; raises `OSError` when the machine cannot. `hello` is its first message."""
        scratch.mkdir()
        self._scratch = scratch
        self.socket, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        self.output, printed = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-c",
                    _ENTRY,
                    str(_CLONE_ROOT),
                    str(theirs.fileno()),
                    str(lifeline),
                ],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                cwd=scratch,
                env={
                    "HOME": str(scratch),
                    "TMPDIR": str(scratch),
                    "LC_ALL": "C.UTF-8",
                    "TZ": "UTC",
                },
                pass_fds=(theirs.fileno(), lifeline),
                process_group=0,
            )
        except OSError:
            self.close()
            raise
        finally:
            theirs.close()
            os.close(lifeline)
            os.close(printed)
        self.socket.setblocking(False)
        os.set_blocking(self.output, False)
        self._reader = FrameReader()
        self._unsent = memoryview(b"")
        self._tail = bytearray()
        self.printed_bytes = 0
        self.output_ended = False
        self.send(frame_of(hello))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    @property
    def has_partial(self) -> bool:
        """Whether the beginning of a further message has arrived."""
        return self._reader.has_partial

    def send(self, frame: bytes) -> None:
        """Send what the socket takes now; `flush` sends the rest when it is writable again."""
        assert not self._unsent, "a child gets its next call after it has answered the last"
        self._unsent = memoryview(frame)
        self.flush()

    def flush(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:  # it died; reading from it tells so, with the reason
            self._unsent = memoryview(b"")

    def receive(self) -> Iterator[Message]:
        """Messages that have arrived; raises `EOFError` when it is gone, `FrameError` for garbage."""
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        yield from self._reader.feed(data)

    def read_output(self) -> bool:
        """Take one piece of what it printed; False when there is no more now, or ever."""
        try:
            data = os.read(self.output, _READ_BYTES)
        except BlockingIOError:
            return False
        self.output_ended = not data
        self.printed_bytes += len(data)
        self._tail += data
        del self._tail[:-OUTPUT_TAIL_BYTES]
        return bool(data)

    def forget_output(self) -> None:
        self._tail.clear()
        self.printed_bytes = 0

    def tail(self, characters: int) -> str:
        """The end of what it printed."""
        return self._tail.decode("utf-8", "replace").strip()[-characters:]

    def has_exited(self) -> bool:
        return self._process.poll() is not None

    def terminate(self) -> None:
        """Ask the whole group to end."""
        terminate_group(self.pid)

    def kill(self, wait_s: float) -> str:
        """End it and all it started; how it ended, as far as known after `wait_s`."""
        kill_tree(self.pid)
        try:
            code = self._process.wait(wait_s)
        except subprocess.TimeoutExpired:  # stuck in the kernel: it runs no more code of its own
            return "it cannot be killed yet"
        return f"it was ended by signal {-code}" if code < 0 else f"it exited with {code}"

    def exit_text(self, wait_s: float) -> str:
        """How it ended by itself; kills it if it has not."""
        try:
            code = self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return self.kill(wait_s)
        kill_tree(self.pid)
        if -code in _OUT_OF_MEMORY:
            return f"it was ended by signal {-code}, as where it needs more memory than it may use"
        return f"it was ended by signal {-code}" if code < 0 else f"it exited with {code}"

    def close(self) -> None:
        """Give back our ends; call it when nothing watches them any more."""
        self.socket.close()
        os.close(self._lifeline)
        os.close(self.output)
        shutil.rmtree(self._scratch, ignore_errors=True)  # what resists goes with the host's folder
