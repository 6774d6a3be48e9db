from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from nephrite.errors import ConfigError
from nephrite.reader_study.server import LONGEST_BODY, StudyServer
from nephrite.reader_study.study import picture_file, read_study


@pytest.fixture
def server(out: Path) -> Iterator[StudyServer]:
    with StudyServer(out, read_study(out), 0) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def get(server: StudyServer, route: str, **headers: str) -> requests.Response:
    return requests.get(server.address() + route, headers=headers, timeout=5)


def tell(server: StudyServer, route: str, content: object) -> requests.Response:
    return requests.post(server.address() + route, json=content, timeout=5)


def raw(server: StudyServer, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
    """The status of a request that is sent as it stands: no client mends it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    status = connection.getresponse().status
    connection.close()
    return status


def path_of(server: StudyServer) -> str:
    return urlsplit(server.address()).path


def test_the_page_is_served_with_a_policy_that_lets_nothing_else_in(server: StudyServer) -> None:
    for route, start in (("", "<!doctype html>"), ("page.css", ":root"), ("page.js", '"use strict"')):
        shown = get(server, route)
        assert shown.status_code == 200
        assert shown.text.startswith(start)
        assert shown.headers["X-Content-Type-Options"] == "nosniff"
        assert shown.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
        assert "Python" not in shown.headers["Server"]
    assert not re.search(r"(src|href)=\"?(https?:)?//", get(server, "").text)


def test_it_listens_on_this_machine_alone(server: StudyServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.address("anna").endswith("/#anna")


def test_slices_come_in_the_order_of_the_reader(server: StudyServer, out: Path) -> None:
    for reader in ("anna", "bert"):
        for place, number in enumerate(server.study.order(reader)):
            shown = get(server, f"slices/{reader}/{place}")
            assert shown.headers["Content-Type"] == "image/png"
            assert shown.content == (out / picture_file(number)).read_bytes()


def test_headers_of_real_and_synthetic_slices_are_the_same(server: StudyServer) -> None:
    found = [dict(get(server, f"slices/anna/{place}").headers) for place in range(8)]
    for headers in found:
        del headers["Date"]
    assert all(headers == found[0] for headers in found)


def test_an_answer_is_on_disk_before_it_is_acknowledged(server: StudyServer, out: Path) -> None:
    assert tell(server, "session", {"reader": "Anna"}).json() == {"reader": "anna", "ratings": [None] * 8}
    said = tell(server, "answers", {"reader": "anna", "place": 2, "rating": 4, "seconds": 1.5}).json()
    assert said["ratings"] == [None, None, 4, *[None] * 5]
    kept = json.loads((out / "answers" / "anna.json").read_text())["answers"]
    assert kept == [{"slice": server.study.order("anna")[2], "rating": 4, "seconds": 1.5}]
    assert tell(server, "session", {"reader": "anna"}).json() == said
    assert tell(server, "session", {"reader": "bert"}).json()["ratings"] == [None] * 8


def test_no_answer_of_the_server_tells_what_a_slice_is(server: StudyServer) -> None:
    given = {"reader": "anna", "place": 0, "rating": 1, "seconds": 1}
    for route, content in (("session", {"reader": "anna"}), ("answers", given)):
        assert set(tell(server, route, content).json()) == {"reader", "ratings"}
    # the page is the same for all studies
    web = resources.files("nephrite.reader_study").joinpath("web")
    for route, name in (("", "page.html"), ("page.css", "page.css"), ("page.js", "page.js")):
        assert get(server, route).content == web.joinpath(name).read_bytes()


@pytest.mark.parametrize(
    "route",
    ["study.json", "slices/anna/8", "slices/anna/-1", "slices/anna/0/", "slices/../study.json", "slices/anna/0.png",
     "answers/anna.json", "..%2fstudy.json", "%2e%2e/study.json", "slices/anna%2f..%2f0/1", "page.html"],
)  # fmt: skip
def test_only_known_routes_are_answered(server: StudyServer, route: str) -> None:
    assert raw(server, "GET", path_of(server) + route, {"Host": "127.0.0.1"}) == 404


@pytest.mark.parametrize(
    "path", ["/", "", "/x/", "//", "/study.json", "http://[/", "/%00/", "/\u00e9/".encode().decode("latin-1")]
)
def test_without_the_token_nothing_is_answered(server: StudyServer, path: str) -> None:
    connection = socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=5)
    connection.sendall(f"GET {path or '/'} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode("latin-1"))
    assert b" 404 " in connection.recv(100)
    connection.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:8765", 200), ("localhost:9000", 200), ("[::1]:8765", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("evil.example:8765", 421), ("", 421),
        ("127.0.0.1@evil.example", 421), ("localhost.", 421),
    ],
)  # fmt: skip
def test_another_name_of_this_machine_is_refused(server: StudyServer, host: str, status: int) -> None:
    assert raw(server, "GET", path_of(server), {"Host": host}) == status
    assert raw(server, "GET", path_of(server), {}) == 421


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"reader": "anna", "place": 8, "rating": 1, "seconds": 1}, "place: there are 8 slices"),
        ({"reader": "anna", "place": -1, "rating": 1, "seconds": 1}, "Place: "),
        ({"reader": "anna", "place": 0, "rating": 5, "seconds": 1}, "Rating: "),
        ({"reader": "anna", "place": 0, "rating": True, "seconds": 1}, "Rating: "),
        ({"reader": "anna", "place": 0, "rating": 1, "seconds": -1}, "Seconds: "),
        ({"reader": "anna", "place": 0, "rating": 1}, "Seconds: "),
        ({"reader": "../anna", "place": 0, "rating": 1, "seconds": 1}, "a pseudonym has 1 to 32"),
        ({"reader": "anna", "place": 0, "rating": 1, "seconds": 1, "kind": "real"}, "Kind: "),
        ([1], ""),
    ],
)
def test_answers_that_are_none_are_refused_and_not_kept(
    server: StudyServer, out: Path, content: object, word: str
) -> None:
    refused = tell(server, "answers", content)
    assert refused.status_code == 400
    assert word in refused.json()["error"]
    assert not (out / "answers").exists()


def test_bodies_are_bounded_and_json_alone(server: StudyServer, out: Path) -> None:
    path, kind = path_of(server) + "session", {"Host": "127.0.0.1", "Content-Type": "application/json"}
    good = b'{"reader": "anna"}'
    assert raw(server, "POST", path, {**kind, "Content-Length": str(len(good))}, good) == 200
    # what a form of another page can send without asking first
    for other in ("text/plain", "application/x-www-form-urlencoded"):
        assert raw(server, "POST", path, {**kind, "Content-Type": other, "Content-Length": str(len(good))}, good) == 415
    assert raw(server, "POST", path, {**kind, "Content-Length": str(LONGEST_BODY + 1)}) == 413
    assert raw(server, "POST", path, kind) == 413
    assert raw(server, "POST", path, {**kind, "Content-Length": "-1"}) == 413
    for broken in (b"{", b"\xff", b"[" * 900, b"NaN"):
        assert raw(server, "POST", path, {**kind, "Content-Length": str(len(broken))}, broken) == 400
    assert raw(server, "POST", path_of(server) + "other", {**kind, "Content-Length": "2"}, b"{}") == 404
    assert raw(server, "PUT", path, kind) == 501
    assert not (out / "answers").exists()


def test_a_broken_file_of_answers_is_told_to_the_page(server: StudyServer, out: Path) -> None:
    (out / "answers").mkdir()
    (out / "answers" / "anna.json").write_text("{")
    refused = tell(server, "session", {"reader": "anna"})
    assert refused.status_code == 500
    assert "anna.json: is not JSON" in refused.json()["error"]
    assert tell(server, "session", {"reader": "bert"}).status_code == 200


def test_a_port_that_is_taken_is_refused_with_another(server: StudyServer, out: Path) -> None:
    port = int(server.server_address[1])
    with pytest.raises(ConfigError, match=rf"--port {port}: cannot be opened .*: --port {port + 1}"):
        StudyServer(out, read_study(out), port)


def test_each_start_has_another_token(server: StudyServer, out: Path) -> None:
    with StudyServer(out, read_study(out), 0) as other:
        assert path_of(other) != path_of(server)
        assert len(path_of(other)) > 20


def test_a_browser_that_goes_away_is_no_error(server: StudyServer, capfd: pytest.CaptureFixture[str]) -> None:
    for error in (BrokenPipeError(), ConnectionResetError()):
        try:
            raise error
        except ConnectionError:
            server.handle_error(None, ("127.0.0.1", 1))
    assert capfd.readouterr().err == ""
    try:
        raise KeyError("a bug")
    except KeyError:
        server.handle_error(None, ("127.0.0.1", 1))
    assert "KeyError: 'a bug'" in capfd.readouterr().err
