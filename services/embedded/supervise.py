"""Run one command and end it when whoever started us is gone, even by kill -9.

    parent ── socketpair (our stdin) ── supervise.py ── child
       │                                     │
       └─ dies or closes its end ── EOF ──► signal, grace period, SIGKILL

Called as `python -I -S supervise.py SIGNAL GRACE_S UID:GID COMMAND…`, `-` for "our own ids".
Writes the child's pid and a newline into the socketpair; exits like the child (128 + n after signal n).
Standard library only and few imports: every embedded server's start pays for this file.
"""

import os
import signal
import subprocess
import sys
import threading


def _start(ids: str, command: list[str]) -> "subprocess.Popen[bytes]":
    if ids == "-":
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)
    uid, gid = map(int, ids.split(":"))
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, user=uid, group=gid, extra_groups=[])


def _end(child: "subprocess.Popen[bytes]", number: int, grace_s: float) -> None:
    child.send_signal(number)
    try:
        child.wait(grace_s)
    except subprocess.TimeoutExpired:
        child.kill()


def _await_parent() -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        return  # a reset socketpair says the same as its end: nobody is there any more


def main(number: int, grace_s: float, ids: str, command: list[str]) -> int:
    """Return the child's exit code; a child ended by signal n gives 128 + n."""
    # A session of its own: Ctrl-C in the terminal reaches the parent alone, which stops us in order.
    os.setsid()
    child = _start(ids, command)
    try:
        os.write(0, b"%d\n" % child.pid)
    except OSError:
        _end(child, number, grace_s)

    def follow_parent() -> None:
        _await_parent()
        _end(child, number, grace_s)

    threading.Thread(target=follow_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(number))
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(
        main(getattr(signal, sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4:]),
    )
