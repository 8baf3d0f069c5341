"""A receiver of webhooks on this machine, which answers as it is told."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Posted:
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answers` are (status, headers) given one after the other, then 204 to all; `got` keeps."""

    url: str
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    got: list[Posted] = field(default_factory=list)

    @property
    def place(self) -> str:
        """host:port."""
        return self.url.removeprefix("http://")


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A whole HTTP server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append(Posted(self.path, dict(self.headers), body))
            status, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def answering(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A port at which each connection is handed to `answer`, with an event that says to end; host:port."""
    ended = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1.0)
                try:
                    connection.recv(100_000)
                    answer(connection, ended)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def dripping(text: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Send a byte now and then, for ever."""

    def answer(connection: socket.socket, ended: threading.Event) -> None:
        for byte in text:
            connection.sendall(bytes([byte]))
        while not ended.wait(0.02):
            connection.sendall(b"y")

    return answer


def flooding(text: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Send as much as is taken, for ever."""

    def answer(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(text)
        while not ended.is_set():
            connection.sendall(b"y" * 65_536)

    return answer
