"""One target under atheris, in an environment that has it: python -m tests.fuzz.under_atheris TARGET ARGUMENTS…

The arguments are libFuzzer's. Started by `tests/fuzz/__main__.py`, which reads what this prints.
"""

import gc
import sys
from types import FunctionType
from typing import Any

import atheris

INSTRUMENTED = ["domain", "schemas", "streams", "gateway", "projections", "plugins", "yaml"]


def main() -> None:
    name, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import target

        check = target(name).check
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and _generated(function):
            atheris.instrument_func(function)

    def one_input(data: bytes) -> None:
        check(data)

    atheris.Setup([sys.argv[0], *arguments], one_input)
    atheris.Fuzz()


def _generated(function: Any) -> bool:
    """Encoders and decoders are no module that is imported: schemas/compiled.py writes them."""
    return bool(function.__code__.co_filename.startswith(("<encode ", "<decode ")))


if __name__ == "__main__":
    main()
