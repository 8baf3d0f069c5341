"""Files that steps write."""

from plugins.atomic_file import write_atomically
from plugins.steps import Output, StepContext, StepFailed


def written(path: str, data: bytes, context: StepContext) -> Output:
    """Replace the file; output `{"path", "bytes"}`.

    Raises `StepFailed` (`file.unavailable`, retryable), Invalid for a path that leads out.
    """
    place = context.files.place_to_write(path)
    try:
        write_atomically(place, data)
    except OSError as error:
        raise StepFailed(
            "file.unavailable", f"'{path}': {error.strerror}", retryable=True
        ) from error
    return {"path": path, "bytes": len(data)}
