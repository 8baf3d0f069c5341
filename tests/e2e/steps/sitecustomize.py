"""Read by every Python process that finds this folder in PYTHONPATH: the hostile steps join the built-in ones."""

from typing import Any, cast

from plugins.builtin import BUILTIN

HOSTILE = (
    "print_a_gigabyte",
    "hang",
    "hang_without_python",
    "exit_without_answer",
    "die_by_signal",
)

cast(dict[str, Any], BUILTIN).update(
    {f"hostile.{name}": f"tests.plugins.hostile:{name}" for name in HOSTILE}
)
