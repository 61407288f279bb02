"""The view's server: a few addresses, all of them to be read only, and only from this machine's own names."""

import json
import re
import socket
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request as WebRequest
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from haepo_bench.files import open_regular, read_regular, reason_of
from haepo_bench.live.inside import inside
from haepo_bench.live.watching import Watched
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import LOG_FOLDER, read_record

#: Names under which the page may be asked for. Another one is that of a page elsewhere whose name was made to mean
#: this machine (DNS rebinding), which could then read what it shows.
HOSTS = ("127.0.0.1", "localhost")
_LOG_BYTES, _RECORD_BYTES = 256 << 10, 256 << 20
_ASSETS = ("page.css", "scales.js", "live.css", "live.js", "curves.js")
#: The report's page, where it would be below the results folder.
_REPORT = "/files/report/report.html"

_SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
_COMMON = "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; "
    f"img-src data:; {_COMMON}"
)
#: The report brings its own style and program in itself, and a stricter policy for the latter.
_REPORT_POLICY = (
    f"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; {_COMMON}"
)


class _Headers:
    """Adds to every answer what keeps a browser from taking it for something else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        policy = _REPORT_POLICY if scope.get("path") == _REPORT else _PAGE_POLICY
        more = [(name.encode(), value.encode()) for name, value in {**_SAFE, "content-security-policy": policy}.items()]

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        await self._app(scope, receive, sent)


def application(watched: Watched) -> Starlette:
    """Addresses: `/` and `/live` (the page also when all is done), `/state`, `/static/`, `/run/`, `/log/`, `/files/`.

    Below `/files/` everything is as it is in the results folder: the report and, as its page links them, records and
    logs. So no suite can have the name of something else.
    """
    static = files("haepo_bench.live") / "static"
    # The report's style and numerals, as files: importing what makes reports takes seconds.
    shared = files("haepo_bench.report.page") / "static"

    def live(_request: WebRequest) -> Response:
        return Response((static / "live.html").read_bytes(), media_type="text/html")

    def first(request: WebRequest) -> Response:
        return RedirectResponse(_REPORT) if watched.done() else live(request)

    def state(_request: WebRequest) -> Response:
        return _json(watched.snapshot())

    def asset(request: WebRequest) -> Response:
        name = request.path_params["name"]
        found = (shared if name in {"page.css", "scales.js"} else static) / name
        if name not in _ASSETS:
            return _absent()
        return Response(found.read_bytes(), media_type="text/css" if name.endswith(".css") else "text/javascript")

    def run(request: WebRequest) -> Response:
        path = inside(watched.results, request.path_params["path"])
        record = read_record(path) if path is not None and path.name.startswith("seed-") else None
        if record is None:
            return _absent()
        return _json(_about(record) if isinstance(record, RunRecord) else {"problem": record.reason})

    def log(request: WebRequest) -> Response:
        path = inside(watched.results, request.path_params["path"])
        if path is None or path.suffix != ".log" or LOG_FOLDER not in path.relative_to(watched.results.resolve()).parts:
            return _absent()
        return PlainTextResponse(_end_of(path))

    def report(_request: WebRequest) -> Response:
        made = watched.report.current
        path = inside(made, "report.html") if made is not None else None
        return FileResponse(path) if path is not None else _absent()

    def linked(request: WebRequest) -> Response:
        path = inside(watched.results, request.path_params["path"])
        if path is None or not re.fullmatch(r"seed-[0-9]+\.json", path.name):
            return log(request)
        try:
            return Response(read_regular(path, most=_RECORD_BYTES), media_type="application/json")
        except OSError as error:
            return PlainTextResponse(f"cannot be read: {reason_of(error)}\n", status_code=404)

    routes = [
        Route("/", first),
        Route("/live", live),
        Route("/state", state),
        Route("/static/{name}", asset),
        Route("/run/{path:path}", run),
        Route("/log/{path:path}", log),
        Route(_REPORT, report),
        Route("/files/{path:path}", linked),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False)
    return Starlette(routes=routes, middleware=[Middleware(_Headers), hosts])


def server_of(watched: Watched) -> uvicorn.Server:
    """What answers for a results folder; `run(sockets=[...])` it."""
    config = uvicorn.Config(
        application(watched),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def listen(port: int) -> socket.socket:
    """A socket on 127.0.0.1; port 0 is any free one.

    Raises:
        OSError: the port is taken or not ours to take.
    """
    return socket.create_server(("127.0.0.1", port))


def _json(data: dict[str, Any]) -> Response:
    """In ASCII, as a file's name need not be Unicode."""
    return Response(json.dumps(data, allow_nan=False, separators=(",", ":")), media_type="application/json")


def _absent() -> Response:
    return PlainTextResponse("there is no such thing here\n", status_code=404)


def _about(record: RunRecord) -> dict[str, Any]:
    """What is shown of a run on a click."""
    return {
        "status": record.status,
        "started": str(record.provenance.get("started", "")),
        "log": str(record.provenance.get("log", "")),
        "final": {name: record.final[name] for name in ("score", "eval_return") if name in record.final},
        "failures": [
            {"type": each.type, "message": each.message, "remedy": each.remedy, "traceback": each.traceback}
            for each in (*record.attempts, *([record.error] if record.error is not None else []))
        ],
    }


def _end_of(path: Path) -> str:
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LOG_BYTES))
            text = file.read(_LOG_BYTES).decode("utf-8", errors="replace")
    except OSError as error:
        return f"cannot be read: {error.strerror}\n"
    return text if size <= _LOG_BYTES else f"... {size - _LOG_BYTES:,} bytes before\n{text}"
