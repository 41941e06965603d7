"""Requests the native protocol does not know go to an HTTP server, and its answers to clients."""

import http.server
import json
import threading

import pytest

from deadline import eventually
from native import Client, bearer
from programs import KUJATA, MODEL, free_port

OPEN = ("--gateway", "--gateway-open", "--print-counters")


class Upstream(http.server.ThreadingHTTPServer):
    """Answers by the type of the request; remembers what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.connections = 0
        self.may_go_on = threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/hook?a=b"

    def stop(self):
        self.may_go_on.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.connections += 1

    def log_message(self, *arguments):
        pass

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(body)
        self.server.asked.append((self.path, dict(self.headers), asked))
        kind = asked["type"]
        if kind == "WAIT":
            self.server.may_go_on.wait(60)
            return self.answer(200, b"{}")
        if kind == "FAIL":
            return self.answer(500, b'{"why": "x"}')
        if kind == "MOVED":
            return self.answer(302, b"", Location=self.server.url)
        if kind == "NOTHING":
            return self.answer(204, b"")
        if kind == "LIST":
            return self.answer(200, b"[1, 2]")
        if kind == "NONSENSE":
            return self.answer(200, b"{nonsense")
        if kind == "DEEP":
            return self.answer(200, b'{"a":' * 5000 + b"1" + b"}" * 5000)
        if kind == "HUGE":
            return self.answer(200, json.dumps({"x": "y" * 200000}).encode())
        if kind == "BREAK":
            self.close_connection = True
            return None
        return self.answer(200, json.dumps({"echo": asked}).encode())


@pytest.fixture
def upstream():
    started = Upstream()
    yield started
    started.stop()


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_what_the_upstream_answers_is_the_clients(serve, upstream, tmp_path, encoding):
    (tmp_path / "tokens").write_text("one sub=ann\n")
    (tmp_path / "secret").write_text("of ours\n")
    node = serve(
        *("--gateway", "--gateway-open", "--auth-tokens", str(tmp_path / "tokens")),
        *("--upstream", upstream.url, "--upstream-token-file", str(tmp_path / "secret")),
    )
    ann, nobody = Client(node, encoding, headers=bearer("one")), Client(node, encoding)
    data = {"steps": [1, 2.5, None, True], "h\u00e9": {}}
    answer = ann.ok("DANCE", **data)
    session = ann.welcome["data"]["session"]
    wanted = {"session": session, "user": "ann", "type": "DANCE", "data": data}
    assert answer == {"echo": wanted}
    path, headers, _ = upstream.asked[0]
    assert path == "/hook?a=b"
    assert headers["Content-Type"] == headers["Accept"] == "application/json"
    assert headers["Authorization"] == "Bearer of ours"
    assert nobody.ok("DANCE")["echo"]["user"] is None
    assert nobody.ask("NOTHING")["type"] == "OK"
    # What the protocol knows is not asked.
    assert ann.ask("PING")["type"] == "PONG"
    assert ann.error("JOIN") == "bad_request"
    assert len(upstream.asked) == 3


def test_answers_of_one_client_come_in_order_and_connections_are_kept(serve, upstream):
    node = serve(*OPEN, "--upstream", upstream.url, "--upstream-calls", "500")
    client = Client(node)
    for number in range(200):
        client.send("COUNT", id=number, number=number)
    for number in range(200):
        answer = client.hear()
        assert (answer["type"], answer["id"]) == ("OK", number)
        assert answer["data"]["echo"]["data"] == {"number": number}
    assert upstream.connections == 1
    counters = node.counters()
    assert counters["upstream_calls_total"] == counters["upstream_answers_total"] == 200
    assert counters["upstream_calls_current"] == 0


def test_failures_are_told_and_counted(serve, upstream):
    node = serve(*OPEN, "--upstream", upstream.url)
    client = Client(node)
    kinds = ("FAIL", "MOVED", "LIST", "NONSENSE", "DEEP", "HUGE", "BREAK")
    for kind in kinds:
        assert client.error(kind) == "upstream", kind
    assert client.ok("DANCE")["echo"]["type"] == "DANCE", "all goes on"
    assert [asked["type"] for _, _, asked in upstream.asked if asked["type"] == "MOVED"] == ["MOVED"]
    counters = node.counters()
    assert counters["upstream_failed_total"] == len(kinds)
    assert counters["upstream_answers_total"] == 1
    assert counters["gateway_requests_refused_total"] == len(kinds)
    assert "upstream" in node.stderr()


def test_a_call_that_takes_too_long_is_given_up(serve, upstream):
    node = serve(*OPEN, "--upstream", upstream.url, "--upstream-timeout-ms", "300")
    client = Client(node)
    answer = client.ask("WAIT")["data"]
    assert answer["code"] == "upstream" and "in time" in answer["message"]
    eventually(lambda: client.ask("DANCE")["type"] == "OK", what="an answer in time")
    counters = node.counters()
    assert counters["upstream_failed_total"] >= 1
    assert counters["upstream_answers_total"] == 1


def test_an_upstream_that_is_not_there_is_told_of(serve):
    node = serve(*OPEN, "--upstream", f"http://127.0.0.1:{free_port()}/")
    client = Client(node)
    assert client.error("DANCE") == "upstream"
    client.ok("JOIN", room="r")
    assert node.counters()["upstream_failed_total"] == 1


def test_so_many_wait_and_who_leaves_is_no_matter(serve, upstream):
    node = serve(
        *(*OPEN, "--upstream", upstream.url, "--upstream-timeout-ms", "60000"),
        *("--upstream-calls", "3", "--gateway-threads", "4"),
    )
    clients = [Client(node) for _ in range(5)]
    for client in clients[:3]:
        client.send("WAIT", id=1)
    eventually(lambda: len(upstream.asked) == 3, what="three calls")
    assert clients[3].error("DANCE") == "busy"
    clients[4].ok("JOIN", room="r")  # nobody else is held up
    clients[0].ws.socket.close()
    upstream.may_go_on.set()
    for client in clients[1:3]:
        assert client.hear() == {"type": "OK", "id": 1, "data": {}}
    eventually(lambda: clients[3].ask("DANCE")["type"] == "OK", what="a place among the calls")
    assert node.counters()["upstream_refused_total"] >= 1


def test_an_upstream_that_hangs_holds_up_no_login(serve, upstream, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("s3cret sub=ann\n")
    node = serve(
        *("--gateway", "--auth-tokens", tokens, "--upstream", upstream.url),
        *("--upstream-timeout-ms", "60000", "--gateway-threads", "1"),
    )
    client = Client(node, headers=bearer("s3cret"))
    client.send("WAIT", id=1)
    eventually(lambda: len(upstream.asked) == 1, what="a call")
    late = Client(node)
    assert late.ok("AUTH", token="s3cret")["user"] == "ann"
    upstream.may_go_on.set()
    assert client.hear() == {"type": "OK", "id": 1, "data": {}}


def test_without_an_upstream_they_are_unknown(serve):
    assert Client(serve("--gateway", "--gateway-open")).error("DANCE") == "unknown_type"


def test_a_client_that_was_not_let_in_asks_nothing(serve, upstream, tmp_path):
    (tmp_path / "tokens").write_text("one sub=ann\n")
    node = serve(
        "--gateway", "--auth-tokens", str(tmp_path / "tokens"), "--upstream", upstream.url
    )
    assert Client(node).error("DANCE") == "unauthorized"
    assert not upstream.asked


@pytest.mark.parametrize("url", ["ftp://x/", "nonsense", "http://", "file:///etc/passwd"])
def test_bad_urls_are_named(start, url):
    flags = ("--listen", "127.0.0.1:0", "--gateway", "--gateway-open", "--upstream", url)
    program = start(KUJATA, "serve", "--model", MODEL, *flags)
    assert program.wait() == 2
    assert "--upstream" in program.stderr()
