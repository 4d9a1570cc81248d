"""The files that pages load: style, script and the mark. Read once, served from memory, named by their content so that they may be kept."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from fhir_profiles.errors import Missing

HERE: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


class Assets:
    """All static files by name."""

    def __init__(self, folder: Path = HERE) -> None:
        self._files = {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.suffix in _TYPES}
        self._digests = {name: hashlib.sha256(body).hexdigest()[:12] for name, body in self._files.items()}

    def addresses(self) -> dict[str, str]:
        """Name → address with its digest."""
        return {name: f"/static/{name}?v={digest}" for name, digest in self._digests.items()}

    def routes(self) -> APIRouter:
        """The route that serves them."""
        router = APIRouter()

        @router.get("/static/{name}")
        async def static(request: Request, name: str) -> Response:
            if name not in self._files:
                raise Missing("dit bestand is er niet")
            lasting = request.query_params.get("v") == self._digests[name]
            headers = {"cache-control": "public, max-age=31536000, immutable" if lasting else "public, max-age=300",
                       "etag": f'"{self._digests[name]}"'}
            if request.headers.get("if-none-match") == headers["etag"]:
                return Response(status_code=304, headers=headers)
            return Response(self._files[name], media_type=_TYPES[Path(name).suffix], headers=headers)

        return router
