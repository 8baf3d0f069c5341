"""An error as RFC 9457 has it: one mapping from the family, whichever door it leaves by."""

import re
from typing import Any

from domain.errors import FlexCoreError, Limited, Unavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
"""An owner that was killed is replaced within 8 s, a broker within 3; asking once a second is cheap."""


def problem(error: FlexCoreError, *, instance: str = "", trace_id: str = "") -> dict[str, Any]:
    """`type title status detail instance code trace_id errors[]`, and the command id if known."""
    found = problem_of(
        code=error.code,
        status=error.http_status,
        title=re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).capitalize(),
        detail=error.message,
        instance=instance,
        trace_id=trace_id,
    )
    found["errors"] = _details(error)
    if "command_id" in error.fields:
        found["command_id"] = error.fields["command_id"]
    return found


def problem_of(
    *, code: str, status: int, title: str, detail: str, instance: str = "", trace_id: str = ""
) -> dict[str, Any]:
    """A problem that is no `FlexCoreError`: the framework's own, such as an unknown path."""
    return {
        "type": f"urn:flexcore:error:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "trace_id": trace_id,
        "errors": [],
    }


def retry_after(error: FlexCoreError) -> dict[str, str]:
    """The header that says when to come back, where coming back helps."""
    return {"Retry-After": str(RETRY_AFTER_S)} if isinstance(error, Unavailable | Limited) else {}


def _details(error: FlexCoreError) -> list[dict[str, Any]]:
    if isinstance(error.fields.get("errors"), list):
        return [{"pointer": e["pointer"], "detail": e["detail"]} for e in error.fields["errors"]]  # type: ignore[attr-defined]
    found = error.fields.get("problems")
    return [{"detail": str(text)} for text in found] if isinstance(found, list) else []
