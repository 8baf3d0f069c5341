"""What can go wrong while an embedded server starts, in words for whoever sits before it."""


class EmbeddedError(RuntimeError):
    """An embedded server could not be started; `cause` says why and `fix` what to do about it."""

    def __init__(self, what: str, *, cause: str, fix: str) -> None:
        super().__init__(f"{what}: {cause}; {fix}")
        self.what = what
        self.cause = cause
        self.fix = fix


class PortTaken(EmbeddedError):
    """Another process took the port between the test and the server's own bind; try another one."""


class FolderInUse(EmbeddedError):
    """Another server, perhaps one that is still stopping, uses the data folder."""
