"""One request to a web address that somebody else wrote down: where it may lead, and how long it may take.

The name is resolved once, every address of it is checked, and one of the checked ones is connected to, so
that no second answer of a name server counts. No redirects, no proxies, no unpacking.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from plugins.steps import StepFailed

_CONNECT_S = 5.0
_PORTS = {"http": 80, "https": 443}
_OWN_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding", "upgrade"})
# An IPv4 address inside: what a gateway on the way makes of them is not ours to know.
_WRAPPING = [
    ipaddress.ip_network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`hosts` may be reached wherever they are; `setting` is what allows them.

    `whole_s` is for connecting, sending, waiting and reading together.
    """

    hosts: Sequence[str]
    setting: str
    whole_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


@contextmanager
def answered(request: Request, rules: Rules) -> Iterator[http.client.HTTPResponse]:
    """The answer, whatever its status; its body can be read as long as this is entered.

    Raises `StepFailed`, also for what goes wrong while it is read: `plugin.bad_config`,
    `http.forbidden`, `http.unavailable`.
    """
    parts, host, port = checked_url(request.url)
    for name in request.headers:
        if name.lower() in _OWN_HEADERS:
            raise _bad(f"field 'headers' has '{name}', which is not a client's to set")
    try:
        with (
            _first_of(_addresses(host, port, rules), port) as plain,
            _cut_in_time(plain, rules.whole_s) as cut,
            _spoken(plain, parts.scheme, host, cut) as stream,
        ):
            yield _asked(stream, request, parts, host, port)
    except ssl.SSLCertVerificationError as error:
        raise StepFailed("http.unavailable", f"'{host}': {error.verify_message}") from error
    except ValueError as error:  # a header or a path with what cannot be sent
        raise _bad(f"the request cannot be sent: {error}") from error
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


def checked_url(url: str) -> tuple[SplitResult, str, int]:
    """The parts of an address, its host and its port. Raises `StepFailed` (`plugin.bad_config`)."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        name = host.encode("idna").decode().lower().rstrip(".") if ":" not in host else host
    except ValueError as error:
        raise _bad(f"field 'url' is {url[:200]!r}: {error}") from None
    if parts.scheme not in _PORTS or not name:
        raise _bad(f"field 'url' is {url[:200]!r}; http://host/… or https://host/… is required")
    if parts.username is not None or parts.password is not None:
        raise _bad("field 'url' holds a user's name; send it by 'headers'")
    if any(character <= " " or character == "\x7f" for character in url):
        raise _bad("field 'url' holds blanks or control characters; write them as %20")
    return parts, name, _PORTS[parts.scheme] if port is None else port


def _bad(message: str) -> StepFailed:
    return StepFailed("plugin.bad_config", message)


# ── connecting ───────────────────────────────────────────────────────────────────────────


def _addresses(host: str, port: int, rules: Rules) -> list[str]:
    usual = port in _PORTS.values()
    found = list(_resolved(host, port))
    named = f"[{host}]" if ":" in host else host
    if f"{named}:{port}" in rules.hosts or (usual and named in rules.hosts):
        return found
    if not usual:
        raise _forbidden(host, f"port {port} is not open", f"{named}:{port}", rules)
    if not all(is_public(address) for address in found):
        raise _forbidden(host, "it is in a private network", named, rules)
    return found


def _resolved(host: str, port: int) -> Iterator[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise StepFailed(
            "http.unavailable", f"'{host}' has no address: {error}", retryable=True
        ) from error
    return (str(place[0]) for *_, place in found)


def _forbidden(host: str, why: str, entry: str, rules: Rules) -> StepFailed:
    return StepFailed(
        "http.forbidden",
        f"'{host}' may not be reached: {why}; whoever runs FlexCore allows it by"
        f" {rules.setting}={entry}",
    )


def _first_of(addresses: Sequence[str], port: int) -> socket.socket:
    for address in addresses[:-1]:
        try:
            return socket.create_connection((address, port), timeout=_CONNECT_S)
        except OSError:  # another address may answer
            continue
    return socket.create_connection((addresses[-1], port), timeout=_CONNECT_S)


class _Cut:
    """What is ended when time is up: the stream that is waited on now."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.over = threading.Event()

    def __call__(self) -> None:
        self.over.set()
        # Not that of a TLS stream, which would say goodbye and change what its reader is using.
        with suppress(OSError):
            socket.socket.shutdown(self.stream, socket.SHUT_RDWR)


@contextmanager
def _cut_in_time(stream: socket.socket, whole_s: float) -> Iterator[_Cut]:
    """End whatever waits for the other side; one that sends a byte now and then would never end."""
    # Connecting is over: a silence may be as long as all of it.
    stream.settimeout(whole_s)
    cut = _Cut(stream)
    timer = threading.Timer(whole_s, cut)
    timer.start()
    try:
        yield cut
    finally:
        timer.cancel()
        if cut.over.is_set():
            raise TimeoutError(f"not done within {whole_s:.0f} s")


@contextmanager
def _spoken(plain: socket.socket, scheme: str, host: str, cut: _Cut) -> Iterator[socket.socket]:
    """The stream to speak HTTP on: inside TLS, where that is asked for."""
    if scheme == "http":
        yield plain
        return
    context = ssl.create_default_context()
    with context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False) as stream:
        cut.stream = stream
        stream.do_handshake()
        yield stream


def _asked(
    stream: socket.socket, request: Request, parts: SplitResult, host: str, port: int
) -> http.client.HTTPResponse:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port)
    connection.sock = stream
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"User-Agent": "flexcore", "Accept-Encoding": "identity", "Connection": "close"}
    connection.request(request.method, path, request.body, {**sent, **request.headers})
    return connection.getresponse()
