"""/docs without the network: Swagger UI's files come from an installed package."""

import importlib.util
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, Response

from domain.errors import NotFound

_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


def docs_router(title: str) -> APIRouter:
    """The page and its three files, mounted at the root."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def page() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=title,
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
        )

    @router.get("/docs/{name}")
    async def asset(name: str) -> Response:
        if name not in _MEDIA_TYPES:
            raise NotFound("file.not_found", f"the documentation has no file {name[:80]!r}")
        return FileResponse(_folder() / name, media_type=_MEDIA_TYPES[name])

    return router


def _folder() -> Path:
    # Looked up without importing the package, whose code is of no use here.
    spec = importlib.util.find_spec("fastapi_offline")
    assert spec is not None, "fastapi-offline is a dependency"
    assert spec.origin is not None, "fastapi-offline is a dependency"
    return Path(spec.origin).parent / "static"
