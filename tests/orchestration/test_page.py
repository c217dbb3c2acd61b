from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from orchestration.page import TYPES, WEB, Page
from orchestration.server import app
from tests.orchestration.serving import EchoGate


class Client:
    """Asks an ASGI app without a network."""

    def __init__(self, application: Starlette) -> None:
        self.application = application

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(transport=transport, base_url="http://t", follow_redirects=True) as client:
                return await client.get(path, headers=headers)

        return asyncio.run(ask())


@pytest.fixture
def client() -> Client:
    return Client(app(EchoGate(), title="Support"))


def test_the_page_is_at_the_root_with_a_strict_policy(client: Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", sorted(p.name for p in WEB.iterdir()))
def test_every_file_is_served_with_its_type(client: Client, path: str) -> None:
    answer = client.get(f"/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == TYPES[Path(path).suffix]
    assert answer.content == (WEB / path).read_bytes()


def test_a_file_that_has_not_changed_is_not_sent_again(client: Client) -> None:
    first = client.get("/main.js")
    again = client.get("/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/nothing.js", "/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "/web/main.js"]
)
def test_nothing_else_is_served(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"import" not in answer.content


def test_only_known_types_are_read(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "secret.py").write_text("password")
    client = Client(Starlette(routes=[Route("/{path:path}", Page(tmp_path).serve)]))
    assert client.get("/index.html").status_code == 200
    assert client.get("/secret.py").status_code == 404


def test_it_can_be_mounted_under_a_prefix() -> None:
    outer = Client(Starlette(routes=[Mount("/voice/room", app(EchoGate()))]))
    assert outer.get("/voice/room").url.path == "/voice/room/"
    assert outer.get("/voice/room/main.js").status_code == 200
    assert outer.get("/voice/room/healthz").json()["status"] == "ok"


def test_the_page_refers_only_to_its_own_files_and_relatively() -> None:
    html = (WEB / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", html)
    for reference in re.findall(r'(?:src|href)="([^"]+)"', html):
        assert (WEB / reference).is_file()
    for script in WEB.glob("*.js"):
        text = script.read_text()
        assert not re.search(r"https?://(?!\$|localhost)", text), script
        for reference in re.findall(r'from "\./([^"]+)"', text):
            assert (WEB / reference).is_file()


def test_the_page_is_told_what_the_agent_is(client: Client) -> None:
    about = client.get("/about").json()
    assert about["title"] == "Support"
    assert about["help"] == {
        "agents": "an echo",
        "scripted": True,
        "note": "It says back what you say.",
        "phrases": [{"say": "Hello", "does": "Hello"}],
    }
