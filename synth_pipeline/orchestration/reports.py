"""Serves the HTML reports to browsers, because a page of the Dagster UI cannot link to a file.

`python -m synth_pipeline.orchestration.reports` beside the web server. Of all artifacts only the newest report of each
source is served, read-only: `/` lists them, `/<source>` is one. Real rows lie in other artifacts and are out of reach.
"""

from __future__ import annotations

import argparse
import logging
from functools import partial
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from synth_pipeline.artifacts import ArtifactStore
from synth_pipeline.errors import SynthPipelineError, UsageError
from synth_pipeline.orchestration.settings import Settings

logger = logging.getLogger(__name__)

PORT = 3001
_STAGE, _PAGE = "quality_report", "report.html"
_STYLE = "body{font:16px/1.6 system-ui,sans-serif;margin:3rem auto;max-width:40rem;padding:0 1rem}li{margin:.3rem 0}"


class ReportHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server_version = "synth-pipeline"
    sys_version = ""

    def __init__(self, *args: object, store: ArtifactStore, **kwargs: object) -> None:
        self._store = store
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        try:
            self._respond(unquote(urlsplit(self.path).path).strip("/"))
        except SynthPipelineError as e:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"<style>{_STYLE}</style><p>{escape(str(e))}".encode())

    do_HEAD = do_GET

    def _respond(self, source: str) -> None:
        if not source:
            self._answer(HTTPStatus.OK, self._index())
        elif source in self._sources():
            self._answer(HTTPStatus.OK, (self._store.open(source, _STAGE) / _PAGE).read_bytes())
        else:
            self._answer(
                HTTPStatus.NOT_FOUND, f"<style>{_STYLE}</style><p>There is no report of {escape(source)} (yet). <a href='/'>All reports</a>".encode()
            )

    def _sources(self) -> list[str]:
        """Names come from the folder and never from the address, so that no address leads outside."""
        return [s for s in self._store.sources() if self._store.exists(s, _STAGE)]

    def _index(self) -> bytes:
        lines = "".join(
            f"<li><a href='/{quote(s)}'>{escape(s)}</a> <small>{escape(self._store.manifest(s, _STAGE)['created_at'])}</small>"
            for s in self._sources()
        )
        body = f"<ul>{lines}</ul>" if lines else "<p>No report yet: materialize <code>quality_report</code> first.</p>"
        return f"<!doctype html><meta charset=utf-8><title>Reports</title><style>{_STYLE}</style><h1>Reports</h1>{body}".encode()

    def _answer(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header(
            "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; font-src data:"
        )
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        logger.debug(format, *args)


def server(artifacts: Path | str, host: str = "127.0.0.1", port: int = PORT) -> ThreadingHTTPServer:
    """A server of the reports under an artifacts folder; `serve_forever` runs it. Port 0 takes a free one.

    Raises:
        UsageError: the port cannot be listened on.
    """
    try:
        return ThreadingHTTPServer((host, port), partial(ReportHandler, store=ArtifactStore(artifacts)))
    except OSError as e:
        raise UsageError(f"The reports cannot be served on {host}:{port}: {e.strerror}.", "Choose another port.") from e


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Serves the HTML reports of all sources.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args()
    with server(Settings.from_environment().artifacts, options.host, options.port) as listening:
        listening.serve_forever()


if __name__ == "__main__":
    main()
