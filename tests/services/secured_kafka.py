"""An embedded broker with three doors: plain, with a password, with TLS."""

import datetime
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.embedded import aot, jars, kafka, kafka_config, ports, process
from tests.stack.waiting import until

USER, PASSWORD = "ann", "right"


@dataclass(frozen=True, slots=True)
class SecuredKafka:
    """`host:port` of each door, and the certificates that the third one's is checked by."""

    plain: str
    sasl: str
    tls: str
    certificates: Path


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """A broker of its own while this lasts."""
    plain, sasl, tls, controller = (ports.pick() for _ in range(4))
    tuning = kafka_config.FOR_TESTS
    properties = kafka_config.prepare(folder, port=plain, controller_port=controller, tuning=tuning)
    certificate, key = _certificate()
    certificates = folder / "ca.pem"
    certificates.write_text(certificate, "utf-8")
    doors = f"PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls}"
    more = {
        "listeners": f"{doors},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": doors,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
        "SASL:SASL_PLAINTEXT,TLS:SSL",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain."
        f'PlainLoginModule required user_{USER}="{PASSWORD}";',
        "listener.name.tls.ssl.keystore.type": "PEM",
        "listener.name.tls.ssl.keystore.certificate.chain": _on_one_line(certificate),
        "listener.name.tls.ssl.keystore.key": _on_one_line(key),
    }
    with properties.open("a", encoding="utf-8") as file:
        # Of two lines for one name Kafka takes the last.
        file.writelines(f"{name}={value}\n" for name, value in more.items())
    cache = aot.AotCache.of(jars.ensure())
    command: list[str | Path] = [cache.java, *cache.use(), *kafka_config.java_options(tuning)]
    class_path = ":".join(map(str, cache.class_path))
    log = folder / "kafka.log"
    child = process.start([*command, "-cp", class_path, "kafka.Kafka", properties], log=log)

    def serves() -> bool:
        assert child.poll() is None, process.tail(log)
        return kafka.serving_cluster(plain) is not None

    try:
        until(serves, within_s=120)
        yield SecuredKafka(
            f"127.0.0.1:{plain}", f"127.0.0.1:{sasl}", f"127.0.0.1:{tls}", certificates
        )
    finally:
        child.stop()


def _on_one_line(pem: str) -> str:
    return pem.strip().replace("\n", "\\n")


def _certificate() -> tuple[str, str]:
    """A certificate for loopback that is its own authority, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )
