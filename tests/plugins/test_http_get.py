"""Fetching from the web: what comes back, what fails how, and where no step gets to."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from plugins import web as shared_web
from plugins.builtin import web
from plugins.outside import Outside
from plugins.web import is_public
from tests.plugins.running import Bench

ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/number": (200, {}, b'{"n": 1}'),
    "/rows": (200, {}, b'[{"n": 1}, {"n": 2}]'),
    "/deep": (200, {}, b'{"data": {"items": [{"n": 3}]}}'),
    "/text": (200, {"Content-Type": "text/plain; charset=latin-1"}, "grün".encode("latin-1")),
    "/odd": (200, {"Content-Type": "text/plain; charset=klingon"}, b"x"),
    "/wrong": (200, {"Content-Type": "text/plain; charset=ascii"}, b"\xff"),
    "/moved": (302, {"Location": "http://127.0.0.1:1/secret"}, b""),
    "/busy": (503, {}, b""),
    "/slower": (429, {}, b""),
    "/gone": (410, {}, b""),
    "/short": (200, {"Content-Length": "10"}, b"abc"),
    "/large": (200, {}, b"x" * (web.MAX_BODY_BYTES + 1)),
}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/headers":
            found = 200, {}, json.dumps(dict(self.headers)).encode()
        else:
            found = ANSWERS[self.path.partition("?")[0]]
        status, headers, body = found
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def listening(server: socket.socket) -> Iterator[list[bytes]]:
    """Take each connection and answer it a byte at a time, for ever; what was sent to it."""
    taken: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(0.2)
                try:
                    taken.append(connection.recv(1000))
                    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200:
                        connection.sendall(bytes([byte]))
                        threading.Event().wait(0.05)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield taken
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def bench(tmp_path: Path, site: str) -> Bench:
    return Bench(tmp_path, Outside(hosts=(site.removeprefix("http://"),)))


def test_json_is_the_body_as_it_is(bench: Bench, site: str) -> None:
    output = bench.run("http_get", url=f"{site}/number?a=1")
    assert output == {"status": 200, "body": {"n": 1}}


def test_rows_are_a_list_of_objects_where_it_stands(bench: Bench, site: str) -> None:
    output = bench.run("http_get", url=f"{site}/rows", **{"as": "rows"})
    assert output == {"status": 200, "rows": [{"n": 1}, {"n": 2}], "count": 2}
    deep = bench.run("http_get", url=f"{site}/deep", **{"as": "rows", "at": "data.items"})
    assert deep["rows"] == [{"n": 3}]
    failed = bench.refusal("http_get", url=f"{site}/deep", **{"as": "rows", "at": "data.none"})
    assert failed.code == "plugin.bad_data"
    assert bench.refusal("http_get", url=f"{site}/deep", **{"as": "rows"}).code == "plugin.bad_data"


def test_text_is_read_in_the_encoding_that_is_told(bench: Bench, site: str) -> None:
    assert bench.run("http_get", url=f"{site}/text", **{"as": "text"})["body"] == "grün"
    for name in ("odd", "wrong"):
        failed = bench.refusal("http_get", url=f"{site}/{name}", **{"as": "text"})
        assert failed.code == "plugin.bad_data"


def test_a_file_holds_the_bytes_that_came(bench: Bench, site: str) -> None:
    output = bench.run("http_get", url=f"{site}/text", path="a.txt", **{"as": "file"})
    assert output == {"status": 200, "path": "a.txt", "bytes": 4}
    assert (bench.folder / "a.txt").read_bytes() == "grün".encode("latin-1")


def test_headers_are_sent_and_few_are_taken_back(bench: Bench, site: str) -> None:
    sent = bench.run("http_get", url=f"{site}/headers", headers={"Accept": "x/y"})["body"]
    assert isinstance(sent, dict)
    assert (sent["Accept"], sent["Host"]) == ("x/y", site.removeprefix("http://"))
    for headers in ({"Host": "other"}, {"X": "a\r\nEvil: b"}, {"X\r\nEvil": "b"}):
        failed = bench.refusal("http_get", url=f"{site}/headers", headers=headers)
        assert failed.code == "plugin.bad_config"


@pytest.mark.parametrize(
    ("path", "retryable"), [("busy", True), ("slower", True), ("gone", False), ("moved", False)]
)
def test_other_answers_fail_the_step(
    bench: Bench, site: str, path: str, *, retryable: bool
) -> None:
    failed = bench.refusal("http_get", url=f"{site}/{path}")
    assert (failed.code, failed.retryable) == ("http.status", retryable)
    assert str(ANSWERS[f"/{path}"][0]) in failed.message


def test_a_redirect_is_told_and_not_followed(bench: Bench, site: str) -> None:
    failed = bench.refusal("http_get", url=f"{site}/moved")
    assert "http://127.0.0.1:1/secret" in failed.message


def test_no_body_is_taken_for_whole_that_is_not(bench: Bench, site: str) -> None:
    failed = bench.refusal("http_get", url=f"{site}/short", **{"as": "text"})
    assert (failed.code, failed.retryable) == ("http.unavailable", True)


def test_a_body_that_is_too_large_is_not_read_on(bench: Bench, site: str) -> None:
    assert bench.refusal("http_get", url=f"{site}/large").code == "http.too_large"


def test_an_answer_that_never_ends_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_WHOLE_S", 0.5)
    server = socket.create_server(("127.0.0.1", 0))
    place = f"127.0.0.1:{server.getsockname()[1]}"
    with listening(server) as taken:
        failed = Bench(tmp_path, Outside(hosts=(place,))).refusal(
            "http_get", url=f"http://{place}/"
        )
    assert taken
    assert (failed.code, failed.retryable) == ("http.unavailable", True)
    assert "not done within" in failed.message


def test_an_answer_may_be_slow_to_come_as_long_as_all_is_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only connecting has a shorter time; a server that thinks for 6 s was once given up after 5."""
    monkeypatch.setattr(shared_web, "_CONNECT_S", 0.2)
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            threading.Event().wait(0.6)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    thread = threading.Thread(target=serve)
    thread.start()
    place = f"127.0.0.1:{server.getsockname()[1]}"
    output = Bench(tmp_path, Outside(hosts=(place,))).run("http_get", url=f"http://{place}/")
    thread.join()
    server.close()
    assert output == {"status": 200, "body": {}}


def test_a_greeting_that_never_ends_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first byte of HTTP: TLS records that are announced and come byte by byte."""
    monkeypatch.setattr(web, "_WHOLE_S", 0.5)
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.recv(1000)
            for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 2000:
                connection.sendall(bytes([byte]))
                if ended.wait(0.02):
                    return

    thread = threading.Thread(target=serve)
    thread.start()
    place = f"127.0.0.1:{server.getsockname()[1]}"
    before = time.monotonic()
    failed = Bench(tmp_path, Outside(hosts=(place,))).refusal("http_get", url=f"https://{place}/")
    took_s = time.monotonic() - before
    ended.set()
    thread.join()
    server.close()
    assert (failed.code, failed.retryable) == ("http.unavailable", True)
    assert took_s < 5


def test_fields_that_do_nothing_are_refused(bench: Bench, site: str) -> None:
    for wrong in ({"at": "a"}, {"path": "a"}, {"as": "xml"}, {"as": "file"}, {"verb": "POST"}):
        assert bench.refusal("http_get", url=f"{site}/number", **wrong).code == "plugin.bad_config"


# ── where no step gets to ────────────────────────────────────────────────────────────────

LOOPBACK = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1"),
    *("127.127.127.127", "0", "0.0.0.0", "localhost", "localhost.", "LOCALHOST", "[::1]", "[::]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]"),
    *("127.0.0.1.", "①②⑦.⓪.⓪.①", "127。0。0。1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
)
PRIVATE = (
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.1"),
    *("169.254.169.254", "169.254.0.1", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "224.0.1.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255", "[fc00::1]", "[fd12:3456::1]", "[fe80::1]", "[ff02::1]"),
    *("[2001:db8::1]", "[2001::1]", "[64:ff9b:1::1]", "[fec0::1]", "[100::1]", "[::ffff:10.0.0.1]"),
    *("0.1.2.3", "2852039166", "0xa9fea9fe", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]"),
)
ODD = (
    *(
        "gopher://{place}/",
        "file:///etc/passwd",
        "ftp://{place}/",
        "//{place}/",
        "{place}",
        "http:///",
    ),
    *(
        "http://user@{place}/",
        "http://user:word@{place}/",
        "http://{place}/a b",
        "http://{place}/\r\nX: y",
    ),
    *(
        "http://{place}/\tx",
        "http://{place}\\@example.org/",
        "http://[{place}/",
        "http://{place}:x/",
    ),
    *(
        "http://example.org:99999/",
        "javascript:alert(1)",
        "data:text/plain,x",
        "http://{place}/\x00",
    ),
)


def test_no_address_of_a_private_network_is_ever_connected_to(tmp_path: Path) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    bench = Bench(tmp_path)
    with listening(server) as taken:
        places = [f"http://{host}{end}/" for host in LOOPBACK for end in (f":{port}", "")]
        places += [f"{scheme}://{host}/" for host in PRIVATE for scheme in ("http", "https")]
        places += [text.format(place=f"127.0.0.1:{port}") for text in ODD]
        codes = {place: bench.refusal("http_get", url=place).code for place in places}
    assert taken == []
    assert len(codes) >= 60
    allowed = {"http.forbidden", "plugin.bad_config", "http.unavailable"}
    assert set(codes.values()) <= allowed
    # Names that this machine cannot resolve tell nothing; all others have to be refused.
    assert [p for p, c in codes.items() if c == "http.unavailable" and "[" not in p] == []


def test_a_name_with_one_private_address_among_public_ones_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("8.8.8.8", "10.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    assert Bench(tmp_path).refusal("http_get", url="http://two.example/").code == "http.forbidden"


def test_the_address_that_was_checked_is_the_one_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that tells another address the second time is not asked a second time."""
    asked, connected = [], []

    def resolve(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        ip = "8.8.8.8" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))]

    def connect(place: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(place)
        raise ConnectionRefusedError("refused here")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    Bench(tmp_path).refusal("http_get", url="http://rebinding.example/")
    assert (asked, connected) == (["rebinding.example"], [("8.8.8.8", 80)])


def test_an_allowed_host_is_allowed_on_the_ports_that_were_said(tmp_path: Path, site: str) -> None:
    port = int(site.rpartition(":")[2])
    for hosts in (
        ("127.0.0.1",),
        (f"127.0.0.1:{port + 1}",),
        (f"127.0.0.2:{port}",),
        (f"localhost:{port}",),
    ):
        failed = Bench(tmp_path, Outside(hosts=hosts)).refusal("http_get", url=f"{site}/number")
        assert failed.code == "http.forbidden"
        assert f"FLEXCORE__STEPS__HTTP_HOSTS=127.0.0.1:{port}" in failed.message


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)
