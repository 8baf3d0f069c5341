"""`flexcore completion`: what a shell completes by."""

import sys
from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a shell's completion script: `source <(flexcore completion bash)`.

    Parameters
    ----------
    shell
        bash, zsh or fish
    """
    from services.cli import parser

    sys.stdout.write(parser().generate_completion(shell=shell))
