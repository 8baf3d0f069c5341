"""One GET of a web address that somebody else wrote down: where it may lead, and how much of it is read.

The name is resolved once, every address of it is checked, and one of the checked ones is connected to, so
that no second answer of a name server counts. No redirects, no proxies, no unpacking.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from plugins.builtin.config import bad_config
from plugins.steps import StepFailed

MAX_BODY_BYTES = 10 * 1024**2
_CONNECT_S = 5.0
_WHOLE_S = 30.0
_PIECE_BYTES = 64 * 1024
_PORTS = {"http": 80, "https": 443}
_OWN_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding", "upgrade"})
# An IPv4 address inside: what a gateway on the way makes of them is not ours to know.
_WRAPPING = [
    ipaddress.ip_network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    charset: str
    location: str


def get(url: str, headers: Mapping[str, str], hosts: Sequence[str]) -> Answer:
    """What the address answers, whatever its status; `hosts` may be reached wherever they are.

    Raises `StepFailed`: `plugin.bad_config`, `http.forbidden`, `http.unavailable`, `http.too_large`.
    """
    parts, host, port = _checked(url)
    for name in headers:
        if name.lower() in _OWN_HEADERS:
            raise bad_config(f"field 'headers' has '{name}', which is not a client's to set")
    try:
        with _connected(parts.scheme, host, port, hosts) as stream, _cut_in_time(stream):
            return _asked(stream, parts, host, port, headers)
    except ssl.SSLCertVerificationError as error:
        raise StepFailed("http.unavailable", f"'{host}': {error.verify_message}") from error
    except ValueError as error:  # a header or a path with what cannot be sent
        raise bad_config(f"the request cannot be sent: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        what = str(error) or type(error).__name__
        raise StepFailed("http.unavailable", f"'{host}': {what}", retryable=True) from error


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, and of no network that is somebody's own."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.is_site_local or any(ip in network for network in _WRAPPING):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


def _checked(url: str) -> tuple[SplitResult, str, int]:
    """The parts of an address, its host and its port."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        name = host.encode("idna").decode().lower().rstrip(".") if ":" not in host else host
    except ValueError as error:
        raise bad_config(f"field 'url' is {url[:200]!r}: {error}") from None
    if parts.scheme not in _PORTS or not name:
        raise bad_config(
            f"field 'url' is {url[:200]!r}; http://host/… or https://host/… is required"
        )
    if parts.username is not None or parts.password is not None:
        raise bad_config("field 'url' holds a user's name; send it by 'headers'")
    if any(character <= " " or character == "\x7f" for character in url):
        raise bad_config("field 'url' holds blanks or control characters; write them as %20")
    return parts, name, _PORTS[parts.scheme] if port is None else port


def _connected(scheme: str, host: str, port: int, hosts: Sequence[str]) -> socket.socket:
    stream = _first_of(_addresses(host, port, hosts), port)
    if scheme == "http":
        return stream
    try:
        return ssl.create_default_context().wrap_socket(stream, server_hostname=host)
    except BaseException:
        stream.close()
        raise


@contextmanager
def _cut_in_time(stream: socket.socket) -> Iterator[None]:
    """End whatever waits for the other side; one that sends a byte now and then would never end."""
    over = threading.Event()

    def cut() -> None:
        over.set()
        # Not that of a TLS stream, which would say goodbye and change what its reader is using.
        socket.socket.shutdown(stream, socket.SHUT_RDWR)

    timer = threading.Timer(_WHOLE_S, cut)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if over.is_set():
            raise TimeoutError(f"not done within {_WHOLE_S:.0f} s")


def _addresses(host: str, port: int, hosts: Sequence[str]) -> list[str]:
    usual = port in _PORTS.values()
    found = list(_resolved(host, port))
    named = f"[{host}]" if ":" in host else host
    if f"{named}:{port}" in hosts or (usual and named in hosts):
        return found
    if not usual:
        raise _forbidden(host, f"port {port} is not open to steps", f"{named}:{port}")
    if not all(is_public(address) for address in found):
        raise _forbidden(host, "it is in a private network", named)
    return found


def _resolved(host: str, port: int) -> Iterator[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise StepFailed(
            "http.unavailable", f"'{host}' has no address: {error}", retryable=True
        ) from error
    return (str(place[0]) for *_, place in found)


def _forbidden(host: str, why: str, entry: str) -> StepFailed:
    return StepFailed(
        "http.forbidden",
        f"'{host}' may not be reached: {why}; whoever runs FlexCore allows it by"
        f" FLEXCORE__STEPS__HTTP_HOSTS={entry}",
    )


def _first_of(addresses: Sequence[str], port: int) -> socket.socket:
    for address in addresses[:-1]:
        try:
            return socket.create_connection((address, port), timeout=_CONNECT_S)
        except OSError:  # another address may answer
            continue
    return socket.create_connection((addresses[-1], port), timeout=_CONNECT_S)


def _asked(
    stream: socket.socket, parts: SplitResult, host: str, port: int, headers: Mapping[str, str]
) -> Answer:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port)
    connection.sock = stream
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"User-Agent": "flexcore", "Accept-Encoding": "identity", "Connection": "close"}
    connection.request("GET", path, headers={**sent, **headers})
    response = connection.getresponse()
    body = bytearray()
    while piece := response.read1(_PIECE_BYTES):
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise StepFailed(
                "http.too_large", f"the answer has more than {MAX_BODY_BYTES // 1024**2} MiB"
            )
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return Answer(
        status=response.status,
        body=bytes(body),
        charset=response.headers.get_content_charset("utf-8"),
        location=response.headers.get("Location", ""),
    )
