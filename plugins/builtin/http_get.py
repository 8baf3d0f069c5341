"""`flexcore.http_get`: what a web address answers: `{url, headers, as, at, path}`.

| `as`   | output                                                                              |
|--------|-------------------------------------------------------------------------------------|
| `json` | `{status, body}`, the default                                                       |
| `text` | `{status, body}`, the body as text                                                  |
| `rows` | `{status, rows, count}`: a JSON list of objects, that of the member `at` where named |
| `file` | `{status, path, bytes}`: the body as it came, into `path` under the files root      |
"""

from typing import cast

import orjson

from plugins.builtin.config import Config, bad_config, bad_data
from plugins.builtin.rows import Row, output_of
from plugins.builtin.web import Answer, get
from plugins.builtin.writing import written
from plugins.steps import Output, StepContext, StepFailed

_AGAIN = frozenset({408, 425, 429})


def run(config: dict[str, object], context: StepContext) -> Output:
    """See above; raises `StepFailed`: `http.unavailable`, `http.status` where trying again may help
    retryable, `http.forbidden` for a place that steps may not reach, `http.too_large`.
    """
    fields = Config(config, "url", "headers", "as", "at", "path")
    kind = fields.choice("as", ("json", "text", "rows", "file"), "json")
    for name, wanted in (("at", "rows"), ("path", "file")):
        if fields.has(name) and kind != wanted:
            raise bad_config(f"field '{name}' goes with 'as: {wanted}' alone")
    place = fields.text("path") if kind == "file" else ""
    url = fields.text("url")
    answer = get(url, fields.texts("headers"), context.outside.hosts)
    if not 200 <= answer.status < 300:
        raise _refused(url, answer)
    return {"status": answer.status, **_output(kind, fields, place, answer, context)}


def _output(kind: str, fields: Config, place: str, answer: Answer, context: StepContext) -> Output:
    if kind == "file":
        return written(place, answer.body, context)
    if kind == "text":
        return {"body": _decoded(answer)}
    body = _json(answer.body)
    if kind == "json":
        return {"body": body}
    return output_of(_rows(body, fields.text("at") if fields.has("at") else ""), context)


def _refused(url: str, answer: Answer) -> StepFailed:
    said = f"'{url[:200]}' answered {answer.status}"
    if 300 <= answer.status < 400:
        said += f" and points to {answer.location[:200]!r}; redirects are not followed"
    return StepFailed(
        "http.status", said, retryable=answer.status >= 500 or answer.status in _AGAIN
    )


def _decoded(answer: Answer) -> str:
    try:
        return answer.body.decode(answer.charset)
    except LookupError:
        raise bad_data(f"the answer's encoding {answer.charset[:50]!r} is unknown") from None
    except UnicodeDecodeError:
        raise bad_data(f"the answer is no {answer.charset}; fetch it 'as: file'") from None


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_data(
            f"the answer is no JSON: {error}; fetch it 'as: text' or 'as: file'"
        ) from None


def _rows(body: object, at: str) -> list[Row]:
    for name in filter(None, at.split(".")):
        if not isinstance(body, dict) or name not in body:
            raise bad_data(f"the answer has no member '{at}'")
        body = body[name]
    if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
        raise bad_data(f"{at or 'the answer'} is no list of objects")
    return cast(list[Row], body)
