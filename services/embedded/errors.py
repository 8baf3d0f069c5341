"""What can go wrong while a part of the stack starts, in words for whoever sits before it."""

from domain.errors import Unavailable


def failed(what: str, *, cause: str, fix: str) -> Unavailable:
    """The error for a part that did not start; `what`, `cause` and `fix` are its fields."""
    return Unavailable("stack.failed", f"{what}: {cause}; {fix}", what=what, cause=cause, fix=fix)
