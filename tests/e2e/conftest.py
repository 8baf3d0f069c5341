"""One stack for all end-to-end tests: the demo has run in it once, then it was started again."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.product import Product


@dataclass(frozen=True)
class Demonstrated:
    """A running stack, and what `./flexcore demo --exit` had printed into its data folder's past."""

    product: Product
    out: str
    err: str


@pytest.fixture(scope="session")
def demonstrated() -> Iterator[Demonstrated]:
    """Run the demo to its end, then start the stack again over what it has left."""
    # Not pytest's folder, which PostgreSQL's account cannot reach.
    folder = Path(tempfile.mkdtemp(prefix="flexcore-e2e-"))
    folder.chmod(0o755)
    product = Product(folder / ".flexcore")
    try:
        demo = product.run("demo", "--exit")
        product.run("dev", "--detach")
        yield Demonstrated(product, demo.stdout, demo.stderr)
    finally:
        product.run("stop")
        shutil.rmtree(folder, ignore_errors=True)
