"""A worker whose decoder crashes on some bytes, as a fault in native code does."""

import resource
import signal
from typing import Any

from schemas.codec import Codec
from services import worker

POISON = b"what kills"


_decode = Codec.decode


def _deadly(codec: Codec, data: bytes) -> Any:
    if POISON in data:
        # To this thread, which takes no further step; os.kill lets it go on for a moment.
        signal.raise_signal(signal.SIGSEGV)
    return _decode(codec, data)


if __name__ == "__main__":
    # Nobody wants its core.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Codec.decode = _deadly  # type: ignore[method-assign]
    worker.main()
