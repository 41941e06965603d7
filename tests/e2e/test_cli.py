"""The program: flags, exit codes, how it ends."""

import contextlib
import json
import os
import signal
import socket
import struct

import pytest

from deadline import eventually
from programs import KUJATA, MODEL, free_port
from rawws import CLOSE, TEXT, RawWebSocket, frame

SERVE = (KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0")


def fault(start, *command):
    """The one line a wrong command line is answered with."""
    program = start(*command)
    assert program.wait() == 2, program.stderr()
    lines = program.stderr().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    "arguments, named",
    [
        (("--nonsense", "1"), "--nonsense"),
        (("--shards",), "--shards"),
        (("--shards", "many"), "--shards"),
        (("--shards", "0"), "--shards"),
        (("--shards=-1",), "--shards"),
        (("--shards=4294967297",), "--shards"),
        (("--listen", "localhost"), "--listen"),
        (("--listen", "127.0.0.1:99999"), "--listen"),
        (("--listen", "1.2.3:80"), "--listen"),
        (("--store", "tape"), "--store"),
        (("--pubsub", "carrier-pigeon"), "--pubsub"),
        (("--pubsub", "nats://"), "--pubsub"),
        (("--topic", "events.>"), "topic"),
        (("--topic", "a..b"), "topic"),
        (("--allow-origin", "example.org"), "allowed_origins"),
        (("--push-endpoint", "/"), "push_endpoint"),
        (("--push-endpoint", "/lists"), "push_endpoint"),
        (("--push-endpoint", "/a b?c"), "push_endpoint"),
        (("--limit-ping-interval-ms", "40000"), "pong_timeout_ms"),
        (("--queue-policy", "panic"), "--queue-policy"),
        (("--print-counters=yes",), "--print-counters"),
        (("--limit-body-bytes", "1M"), "--limit-body-bytes"),
        (("--topic", "a b"), "topic"),
        (("--push-endpoint", "events"), "endpoint"),
        (("--model", "/nonexistent"), "--model"),
        (("surplus",), "surplus"),
    ],
)
def test_a_bad_flag_is_named_in_one_line_with_exit_2(start, arguments, named):
    assert named in fault(start, *SERVE, *arguments)


CHAT, BROKER = ("--profile", "chat"), ("--pubsub", "nats://127.0.0.1:1")


@pytest.mark.parametrize(
    "arguments, fault_text",
    [
        (("--gateway-path", "/x"),
         "--gateway-path does nothing without --gateway, --profile native, --profile chat or --profile live"),
        (("--gateway-open", "--profile", "gochat"), "--gateway-open does nothing without --gateway, "),
        (("--gateway", "--gateway-quiet", "--gateway-told", "3"),
         "--gateway-told does nothing with --gateway-quiet"),
        (("--gateway", "--gateway-limit-burst", "3"),
         "--gateway-limit-burst does nothing without --gateway-limit-rate"),
        (("--tls-key", "x"), "--tls-key does nothing without --tls-cert"),
        (("--tls-client-ca", "x"), "--tls-client-ca does nothing without --tls-cert"),
        (("--auth-certificate",), "--auth-certificate does nothing without --tls-client-ca"),
        (("--jwt-issuer", "x"), "--jwt-issuer does nothing without --jwt-alg"),
        (("--jwt-leeway-s", "0"), "--jwt-leeway-s does nothing without --jwt-alg"),
        (("--auth-cookie", "x"), "--auth-cookie does nothing without --accounts, "),
        (("--account-closed",), "--account-closed does nothing without --accounts or --profile chat"),
        (("--presence", "on"), "--presence does nothing without --gateway or --profile"),
        ((*CHAT, "--presence-nodes", "3"),
         "--presence-nodes does nothing without --presence on, --pubsub nats://... or --pubsub tls://..."),
        ((*CHAT, *BROKER, "--presence", "off", "--presence-nodes", "3"),
         "--presence-nodes does nothing with --presence off"),
        (("--announce-name", "x"), "--announce-name does nothing without --announce-topic"),
        (("--api-open",), "--api-open does nothing without --api"),
        (("--api", "127.0.0.1:0", "--api-open"), "--api does nothing without --gateway or --profile"),
        (("--store-readers", "3"), "--store-readers does nothing without --store sqlite:PATH"),
        (("--store", "memory", "--store-relaxed"), "--store-relaxed does nothing without --store sqlite:PATH"),
        (("--pubsub", "local", "--nats-user", "x"), "--nats-user does nothing without --pubsub nats://... or "),
        ((*BROKER, "--nats-password", "x"), "--nats-password does nothing without --nats-user"),
        (("--messages", "memory"), "--messages does nothing without --gateway, "),
        ((*CHAT, "--messages-busy-ms", "9"), "--messages-busy-ms does nothing without --messages sqlite:PATH"),
        (("--goim-domain", "x"), "--goim-domain does nothing without --profile goim"),
        (("--resume-events", "0", "--resume-bytes", "9"), "--resume-bytes does nothing with --resume-events 0"),
        (("--upstream-calls", "3"), "--upstream-calls does nothing without --upstream"),
        (("--read-only-except", "task"), "--read-only-except does nothing without --read-only"),
    ],
)  # fmt: skip
def test_a_flag_that_would_do_nothing_is_refused_with_the_one_it_needs(start, arguments, fault_text):
    assert f"kujata serve: {fault_text}" in fault(start, *SERVE, *arguments)


@pytest.mark.parametrize(
    "command, named",
    [
        (("sub", "wss://127.0.0.1:1/", "--key", "x"), "--key does nothing without --cert"),
        (("sub", "ws://127.0.0.1:1/", "--insecure"), "--insecure does nothing without URL wss://... or "),
        (("bench", "ws://127.0.0.1:1/", "--duration", "1"), "--duration does nothing without --post or"),
        (("bench", "ws://127.0.0.1:1/", "--rate", "1"), "--rate does nothing without --post or --publish-to"),
    ],
)
def test_so_it_is_by_the_other_commands(start, command, named):
    assert named in fault(start, KUJATA, *command)


def test_what_a_profile_brings_along_counts(serve):
    serve(*CHAT, "--gateway-path", "/here", "--account-closed", "--mailbox-window", "3", "--auth-query")


def test_the_model_is_required(start):
    assert "--model" in fault(start, KUJATA, "serve")


@pytest.mark.parametrize("flag", ["--store", "--accounts", "--messages"])
@pytest.mark.parametrize("path, reason", [("none/x.db", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_opened_is_named_with_the_reason(start, tmp_path, flag, path, reason):
    file = str(tmp_path / path)
    program = start(*SERVE, "--gateway", "--gateway-open", flag, f"sqlite:{file}")
    assert program.wait() == 1
    assert program.stderr() == f"kujata serve: {flag}: {file} cannot be opened: {reason}\n"


def test_sub_says_what_to_change_when_it_is_not_let_in(serve, start, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("good sub=ann\n")
    node = serve("--auth-tokens", str(tokens))
    for path, flags, said in (("/events", (), "(see --token)"), ("/other", ("--token", "good"), "at /events"),
                              ("/events", ("--token", "bad"), "(see --token)")):  # fmt: skip
        program = start(KUJATA, "sub", f"ws://127.0.0.1:{node.port}{path}", *flags)
        assert program.wait() == 1
        assert said in program.stderr()


@pytest.mark.parametrize("command", [("sub",), ("sub", "ftp://x"), ("sub", "ws://h:1/", "b"),
                                     ("sub", "ws://127.0.0.1:1/", "--encoding", "xml"),
                                     ("sub", "ws://127.0.0.1:1/", "--identity", "task:"),
                                     ("sub", "ws://127.0.0.1:1/", "--identity", "task:a,,b"),
                                     ("sub", "--token"), ("fly",)])  # fmt: skip
def test_sub_and_the_program_itself_are_as_strict(start, command):
    assert fault(start, KUJATA, *command).startswith("kujata")


def test_a_broken_model_names_its_file_and_the_place(start, tmp_path):
    model = tmp_path / "broken.json"
    model.write_text('{"identities": [\n  {"name": "a" "category"')
    for command in (("serve",), ("spec", "openapi")):
        assert f"--model: {model}:2:25: " in fault(start, KUJATA, *command, "--model", str(model))


def test_help_and_version_go_to_stdout(start):
    for arguments in (("--help",), ("-h",), ("help",), ("--version",), ("serve", "--help"),
                      ("serve", "--gateway-path", "/x", "-h"), ("sub", "--help")):  # fmt: skip
        program = start(KUJATA, *arguments)
        assert program.wait() == 0
        assert program.line().startswith(("usage: kujata", "kujata 0."))
        assert program.stderr() == ""


@pytest.mark.parametrize("flag", ["--listen", "--health", "--api", "--tcp"])
def test_a_port_in_use_is_exit_1_with_flag_address_and_reason(start, flag):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        others = {"--api": ("--api-open", "--gateway", "--gateway-open"), "--tcp": ("--profile", "goim", "--gateway-open")}
        program = start(*SERVE, flag, address, *others.get(flag, ()))
        assert program.wait() == 1
        named = "--tcp, --tcp-tls" if flag == "--tcp" else flag
        assert f"({named}): cannot listen on {address}: Address already in use" in program.stderr()


def test_an_address_that_is_not_of_this_machine_is_said_to_be_so(start):
    program = start(*SERVE, "--listen", "203.0.113.1:0", "--allow-all")
    assert program.wait() == 1
    assert "(--listen): cannot listen on 203.0.113.1:0: Cannot assign" in program.stderr()


def test_nothing_gets_the_number_of_a_closed_standard_descriptor(start):
    port = free_port()
    closed = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    program = start(*closed, KUJATA, "serve", "--model", MODEL, "--listen", f"127.0.0.1:{port}")
    eventually(lambda: listens(port), what="the node")
    links = [os.readlink(f"/proc/{program.process.pid}/fd/{number}") for number in range(3)]
    assert links == ["/dev/null"] * 3


def listens(port):
    with socket.socket() as peer:
        return peer.connect_ex(("127.0.0.1", port)) == 0


def test_sighup_without_anything_to_read_again_changes_nothing(serve):
    node = serve()
    node.signal(signal.SIGHUP)
    assert node.create(title="still there")


def test_flags_with_an_equals_sign_are_the_same(serve):
    node = serve("--push-endpoint=/changes", "--topic=a.b", "--shards=1", "--http-threads=4")
    RawWebSocket(node.port, path="/changes").close()
    assert node.request("GET", "/events").status_code != 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_flushes_what_is_queued_and_closes_with_1001(serve, number):
    # given a session that has not read any of 6 MB of events
    node = serve("--limit-session-queue-bytes", "16777216")
    session = RawWebSocket(node.port)
    for index in range(600):
        node.create("/lists", name=str(index), description="x" * 10000)

    # when the server is told to end
    node.signal(number)

    # then every event arrives, and the close behind them
    for index in range(600):
        opcode, payload = session.message()
        assert opcode == TEXT
        assert json.loads(payload)["entity"]["name"] == str(index)
    assert session.message() == (CLOSE, struct.pack(">H", 1001))
    session.send(CLOSE, struct.pack(">H", 1001))
    assert node.wait() == 0
    with pytest.raises(ConnectionError):
        RawWebSocket(node.port)


def test_a_client_that_never_reads_holds_the_end_up_for_a_bounded_time(serve):
    node = serve(
        "--limit-drain-timeout-ms", "300", "--limit-session-queue-bytes", "67108864"
    )
    deaf = RawWebSocket(node.port, receive_buffer=4096)
    for index in range(400):
        node.create("/lists", name=str(index), description="x" * 50000)
    node.signal()
    assert node.wait(15) == 0
    deaf.close()


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_sub_prints_one_event_a_line(serve, start, encoding):
    node = serve()
    url = f"ws://127.0.0.1:{node.port}/events"
    sub = start(KUJATA, "sub", url, "--identity", "task:create,update", "--encoding", encoding)
    wait_until_subscribed(node, sub)
    task = node.create(title="a\nb", number=7)
    node.create("/lists", name="not asked for")
    node.request("PATCH", f"/tasks/{task['ID']}", json={"done": True})
    node.request("DELETE", f"/tasks/{task['ID']}")
    node.create(title="last")
    events = []
    while not events or events[-1]["entity"]["title"] != "last":
        event = json.loads(sub.line())
        if event["entity"]["title"] != "ready?":
            events.append(event)
    assert [event["type"] for event in events] == ["create", "update", "create"]
    assert events[0]["entity"] == task
    sub.signal()
    assert sub.wait() == 0
    assert sub.stderr() == ""


def wait_until_subscribed(node, sub):
    def heard():
        node.create(title="ready?")
        try:
            return sub.line(0.1) if sub.process.poll() is None else pytest.fail(sub.stderr())
        except AssertionError:
            return None

    eventually(heard, what="the first event")


def test_sub_says_why_the_server_ended_it(serve, start):
    node = serve()
    sub = start(KUJATA, "sub", f"ws://127.0.0.1:{node.port}/events")
    wait_until_subscribed(node, sub)
    node.stop()
    assert sub.wait() == 1
    assert "close code 1001 (the server stops; see --resume)" in sub.stderr()
    assert len(sub.stderr().splitlines()) == 1


def test_sub_says_what_the_server_answered(serve, start):
    node = serve()
    sub = start(KUJATA, "sub", f"http://127.0.0.1:{node.port}/tasks")
    assert sub.wait() == 1
    assert "the server answered 4" in sub.stderr()
    elsewhere = start(KUJATA, "sub", f"ws://127.0.0.1:{free_port()}/events")
    assert elsewhere.wait() == 1
    assert "refused" in elsewhere.stderr()


def test_sub_against_a_listener_that_says_nothing_times_out(start):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = "ws://127.0.0.1:%d/" % silent.getsockname()[1]
        sub = start(KUJATA, "sub", url, "--timeout-ms", "200")
        assert sub.wait() == 1
        assert "timed out" in sub.stderr()


UPGRADE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: x\r\n\r\n"
)
HOSTILE = {
    "nothing": b"",
    "not HTTP": b"hello\r\n\r\n",
    "a head without an end": b"HTTP/1.1 101 x\r\n" + b"a: b\r\n" * 10000,
    "a head with a NUL": b"HTTP/1.1 101 x\r\na: \0\r\n\r\n",
    "a line that is no header": b"HTTP/1.1 101 x\r\nnothing\r\n\r\n",
    "a 101 that is no websocket": b"HTTP/1.1 101 x\r\n\r\n",
    "a refusal cut off": b"HTTP/1.1 403 x\r\nContent-Length: 99\r\n\r\n[{",
    "a refusal that lies about its length": b"HTTP/1.1 403 x\r\nContent-Length: -1\r\n\r\n[]",
    "a refusal in msgpack": b"HTTP/1.1 403 x\r\nContent-Type: application/msgpack\r\n\r\n\xdd",
    "an end without a close": UPGRADE,
    "a masked frame": UPGRADE + frame(TEXT, b"{}"),
    "a reserved bit": UPGRADE + frame(TEXT, b"{}", mask=False, reserved=4),
    "a message that is no event": UPGRADE + frame(TEXT, b"{}", mask=False),
    "an event that is no JSON": UPGRADE + frame(TEXT, b"[" * 1000, mask=False),
    "2^40 bytes announced": UPGRADE + frame(TEXT, b"", mask=False, length=1 << 40),
    "half a frame": UPGRADE + frame(TEXT, b"x" * 100, mask=False)[:50],
    "a close of one byte": UPGRADE + frame(CLOSE, b"x", mask=False),
    "a close": UPGRADE + frame(CLOSE, struct.pack(">H", 1008), mask=False),
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE.keys())
def test_sub_ends_in_one_line_whatever_the_server_says(start, answer):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        url = "ws://127.0.0.1:%d/" % server.getsockname()[1]
        sub = start(KUJATA, "sub", url, "--timeout-ms", "5000")
        connection, _ = server.accept()
        with connection:
            while b"\r\n\r\n" not in connection.recv(65536, socket.MSG_PEEK):
                pass
            connection.recv(65536)
            with contextlib.suppress(OSError):  # it may have seen enough before the end
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
            assert sub.wait() == 1, sub.stderr()
    assert sub.stderr().startswith("kujata sub: ")
    assert len(sub.stderr().splitlines()) == 1, sub.stderr()


def test_counters_are_printed_when_asked_for(serve):
    node = serve("--print-counters")
    node.create(title="one")
    counters = node.counters()
    assert counters["http_requests_total"] == 1
    assert counters["events_published_total"] == 1
