"""The page's files, read once and served from memory with exact content types and a strict content policy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

WEB = Path(__file__).parent / "web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Only these are served."""
# Sockets to other hosts are allowed, as the room may be open at another server of ours; scripts are our own only.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self' ws: wss:; media-src 'self' blob: mediastream:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'"
    ),
    "permissions-policy": "microphone=(self), speaker-selection=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    type: str
    etag: str


class Page:
    """The files of a folder; the folder itself is its index.html."""

    def __init__(self, folder: Path = WEB) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _read(path, TYPES[path.suffix])
            for path in sorted(folder.rglob("*"))
            if path.suffix in TYPES
        }

    async def serve(self, request: Request) -> Response:
        file = self._files.get(request.path_params.get("path") or "index.html")
        if file is None:
            return PlainTextResponse("There is no such file here.\n", status_code=404, headers=HEADERS)
        headers = {**HEADERS, "etag": file.etag}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=file.type, headers=headers)


def _read(path: Path, type: str) -> _File:
    content = path.read_bytes()
    return _File(content, type, f'"{hashlib.sha256(content).hexdigest()[:20]}"')
