"""A service that imports itself while its servers still start: `python -m services.prestart MODULE GATE`.

imports MODULE ──► waits for the file GATE ──► takes its environment from it ──► MODULE.main()

Importing is most of a service's start, and needs nothing that is not known before.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path

_POLL_S = 0.01


def main(module: str, gate: Path) -> None:
    """Run the service once `gate`, a JSON object of environment variables, is there."""
    service = importlib.import_module(module)
    # Whoever opens the gate may be gone: then our supervisor ends us.
    while not gate.exists():
        time.sleep(_POLL_S)
    environment = json.loads(gate.read_text("utf-8"))
    gate.unlink()
    os.environ.update(environment)
    service.main()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
