"""Why a broker is not reached: what librdkafka's connections say, which its answers leave out.

request ─► "timed out" │ error_cb ─► "connection refused", "wrong password" ─► Unavailable with a fix
"""

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException

# confluent_kafka.admin offers this name without listing it as exported.
from confluent_kafka.admin import AdminClient  # pyright: ignore[reportPrivateImportUsage]

from domain.errors import Invalid, Unavailable
from streams.connection import Connection

_FOR_GOOD = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})
"""What another attempt does not mend: somebody has to change a setting."""
_OTHER_PROTOCOL = ("SSL handshake failed", "SSL connection closed by peer", "security.protocol")


class Reaching:
    """An admin client that remembers why its connections fail.

    Raises Invalid (`settings.invalid`) where librdkafka does not take the settings.
    """

    def __init__(self, connection: Connection) -> None:
        self._bootstrap = connection.bootstrap
        self._heard: KafkaError | None = None
        self._closed = False
        settings = connection.client()
        self._log: Callable[[Any], None] = settings["error_cb"]
        settings["error_cb"] = self._hear
        try:
            self.admin = AdminClient(settings)
        except KafkaException as error:
            raise _not_taken(error.args[0]) from error

    def _hear(self, error: Any) -> None:
        self._log(error)
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            # Alone: a broker with TLS closes what comes in plain text, and nothing else is told.
            self._closed = True
        elif error.code() != KafkaError._TIMED_OUT:
            self._heard = error

    def give_up_for_good(self) -> None:
        """Called after a failed request. Raises Unavailable where asking again cannot help."""
        # Only a poll hands over what the connections said.
        self.admin.poll(0)
        if self._heard is not None and self._heard.code() in _FOR_GOOD:
            raise self.away()

    def away(self) -> Unavailable:
        """The error that says what is known; the broker's address and no password are in it."""
        self.admin.poll(0)
        heard = self._heard
        what = f"Kafka at {self._bootstrap} does not serve"
        if heard is not None:
            cause, fix = _cleaned(heard.str()), _fix(heard)
        elif self._closed:
            cause, fix = "it closes connections before it answers", _PROTOCOL
        else:
            cause, fix = "it does not answer", _START
        return Unavailable(
            "broker.unavailable", f"{what}; {cause}; {fix}", what=what, cause=cause, fix=fix
        )


def _not_taken(error: KafkaError) -> Invalid:
    what = "the settings of Kafka cannot be used"
    cause = error.str().removeprefix("Failed to create admin client: ")
    fix = "correct FLEXCORE__KAFKA__SECURITY_PROTOCOL and what belongs to it"
    return Invalid("settings.invalid", f"{what}; {cause}; {fix}", what=what, cause=cause, fix=fix)


def _cleaned(text: str) -> str:
    """Without what librdkafka adds for itself: `(after 0ms in state CONNECT, 1 identical …)`."""
    return text.partition(" (after ")[0]


_START = "start it, or correct FLEXCORE__KAFKA__BOOTSTRAP"
_PROTOCOL = (
    "set FLEXCORE__KAFKA__SECURITY_PROTOCOL to what the broker speaks on this port, and "
    "FLEXCORE__KAFKA__SSL_CA_LOCATION to the certificates that its own is checked by"
)
_CREDENTIALS = (
    "correct FLEXCORE__KAFKA__SASL_USERNAME, FLEXCORE__KAFKA__SASL_PASSWORD and "
    "FLEXCORE__KAFKA__SASL_MECHANISM"
)


def _fix(heard: KafkaError) -> str:
    if heard.code() == KafkaError._AUTHENTICATION:
        return _CREDENTIALS
    if heard.code() == KafkaError._SSL or any(sign in heard.str() for sign in _OTHER_PROTOCOL):
        return _PROTOCOL
    if heard.code() == KafkaError._RESOLVE:
        return "correct FLEXCORE__KAFKA__BOOTSTRAP"
    return _START
