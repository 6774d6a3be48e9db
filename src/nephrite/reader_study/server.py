"""The page of a reader study, served on this machine alone.

The address holds a random token that is new with each start, so that other users of the machine, and pages of others in
the same browser, cannot ask. The header 'Host' must name this machine, so that no other name can be bound to it (DNS
rebinding). Only known routes are answered; nothing that is asked for becomes a path.

    GET  TOKEN/                     the page; its style and script beside it
    GET  TOKEN/slices/READER/PLACE  the slice at a place of the reader's order, from 0
    POST TOKEN/session              who reads: their ratings by place, null where there is none
    POST TOKEN/answers              a rating, which is kept before the answer comes
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from nephrite.errors import ConfigError, NephriteError, StoreError
from nephrite.files import as_record, parse_json
from nephrite.reader_study.answers import Answer, AnswerBook, Rating, Reader
from nephrite.reader_study.study import Study, picture_file
from nephrite.record_fields import STRICT, Count, NotNegative

HOST = "127.0.0.1"
NAMES = ("127.0.0.1", "localhost", "::1")
LONGEST_BODY, PATIENCE = 1000, 30  # bytes of a request; seconds in which it must have come
JSON_TYPE = "application/json"
PAGE = {  # route to file and type
    "": ("page.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
}
SLICE = re.compile(r"slices/([a-z0-9_-]{1,32})/(\d{1,4})")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
Content = TypeVar("Content")


@dataclass(frozen=True)
class Session:
    """Who reads."""

    __pydantic_config__ = STRICT

    reader: Reader


@dataclass(frozen=True)
class Given:
    """A rating of the slice at a place of the reader's order."""

    __pydantic_config__ = STRICT

    reader: Reader
    place: Count
    rating: Rating
    seconds: NotNegative


class RefusedError(Exception):
    """What is not answered: the status, and a sentence for the page."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class StudyServer(ThreadingHTTPServer):
    """A server of one study; `serve_forever` runs it.

    Args:
        root: the study's folder.
        study: its record.
        port: on this machine; 0 takes one that is free.

    Attributes:
        book: the answers.

    Raises:
        ConfigError: the port is taken, or may not be opened.
    """

    daemon_threads = True

    def __init__(self, root: Path, study: Study, port: int) -> None:
        try:
            super().__init__((HOST, port), StudyHandler)
        except OSError as error:
            finding = f"cannot be opened ({error.strerror}); an earlier page may still run there"
            raise ConfigError(f"--port {port}", finding, f"end that, or take another: --port {port + 1}") from None
        self.root, self.study, self.book = root, study, AnswerBook(root, study)
        self._token = secrets.token_urlsafe(16)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error; all else is a bug, and keeps its traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def address(self, reader: str | None = None) -> str:
        """Where the page is, opened for a reader."""
        return f"http://{HOST}:{self.server_address[1]}/{self._token}/{f'#{reader}' if reader else ''}"

    def route(self, path: str) -> str:
        """What is asked for, behind the token.

        Raises:
            RefusedError: the token is missing or another one.
        """
        _, token, *rest = [*path.split("/", 2), "", ""][:3]
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            raise RefusedError(HTTPStatus.NOT_FOUND, "Open the address that the command printed when it was started.")
        return rest[0]


class StudyHandler(BaseHTTPRequestHandler):
    """One request."""

    server: StudyServer
    timeout = PATIENCE

    def do_GET(self) -> None:
        """Answer with a part of the page, or with a slice."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer what the page tells."""
        self._answer(self._post)

    def version_string(self) -> str:
        """What the header 'Server' says."""
        return "nephrite"

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: they hold pseudonyms, and the token."""

    def _answer(self, serve: Callable[[str], tuple[str, bytes]]) -> None:
        try:
            self._check_host()
            kind, body = serve(self.server.route(self.path))
            self._send(HTTPStatus.OK, kind, body)
        except RefusedError as refused:
            self._send(refused.status, JSON_TYPE, _json({"error": refused.text}))
        except NephriteError as error:
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, JSON_TYPE, _json({"error": str(error)}))

    def _check_host(self) -> None:
        host = self.headers.get("Host", "")
        name = re.sub(r":\d{1,5}$", "", host).strip("[]")
        if name not in NAMES:
            raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST, "Open the address that the command printed.")

    def _get(self, route: str) -> tuple[str, bytes]:
        if route in PAGE:
            name, kind = PAGE[route]
            return kind, resources.files("nephrite.reader_study").joinpath("web", name).read_bytes()
        found, study = SLICE.fullmatch(route), self.server.study
        if not found or int(found[2]) >= len(study.slices):
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is no such slice.")
        number = study.order(found[1])[int(found[2])]
        return "image/png", (self.server.root / picture_file(number)).read_bytes()

    def _post(self, route: str) -> tuple[str, bytes]:
        content, book, study = self._content(), self.server.book, self.server.study
        if route == "session":
            reader = _read(content, Session).reader
        elif route == "answers":
            given = _read(content, Given)
            if given.place >= len(study.slices):
                raise RefusedError(HTTPStatus.BAD_REQUEST, f"place: there are {len(study.slices)} slices")
            reader = given.reader
            book.add(reader, Answer(study.order(reader)[given.place], given.rating, given.seconds))
        else:
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is no such address.")
        said = book.read(reader).last
        ratings = [said[number].rating if number in said else None for number in study.order(reader)]
        return JSON_TYPE, _json({"reader": reader, "ratings": ratings})

    def _content(self) -> Any:
        """The JSON of a request; another type than JSON's is what a form of another page could send."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Content-Type") != JSON_TYPE:
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {JSON_TYPE}.")
        if not re.fullmatch(r"\d{1,9}", length) or int(length) > LONGEST_BODY:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {LONGEST_BODY} bytes are read.")
        try:
            return parse_json(self.rfile.read(int(length)).decode())
        except (ValueError, RecursionError):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "This is not JSON.") from None

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _read(content: Any, kind: type[Content]) -> Content:
    try:
        return as_record(content, kind, "request", "")
    except StoreError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"{error.finding[:1].upper()}{error.finding[1:]}.") from None


def _json(content: Mapping[str, object]) -> bytes:
    return json.dumps(content).encode()
