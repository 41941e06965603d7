"""TLS: who may speak with whom, what a session needs, and what goes wrong without harm."""

import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import ssl
import struct
import subprocess

import msgpack
import pytest
import requests

from deadline import eventually
from fleet import raise_file_limit
from pki import Authority
from programs import KUJATA, MODEL, SANITIZED
from rawws import BINARY, CLOSE, TEXT, RawWebSocket, Refused, frame, request
from test_health import Health

pytestmark = pytest.mark.skipif(
    os.environ.get("KUJATA_OWN_CIVETWEB") == "0", reason="built on a civetweb without TLS"
)
WHOAMI = os.environ.get("KUJATA_WHOAMI", "whoami")
MSGPACK = {"Accept": "application/msgpack", "Content-Type": "application/msgpack"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("pki"))
    made.server = made.issue("server")
    made.client = made.issue(
        "alice", subject="/O=Example/CN=alice", names="DNS:alice.example.org,email:a@example.org"
    )
    return made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("stranger"), "stranger")
    made.client = made.issue("mallory")
    return made


def flags(authority, *more):
    certificate, key = authority.server
    return ("--tls-cert", certificate, "--tls-key", key, *more)


@pytest.fixture
def secure(serve, authority):
    """secure(*flags) starts a node that speaks TLS; requests to it trust its authority."""

    def start(*more, **options):
        node = serve(*flags(authority, *more), **options)
        node.http.verify = authority.ca
        return node

    return start


# For sessions that are let wait, for as long as the machine takes to come to them.
PATIENT = ("--limit-ping-interval-ms", "600000", "--limit-pong-timeout-ms", "900000",
           "--limit-write-stall-ms", "600000")  # fmt: skip


def tls_socket(port, context, seconds=30.0):
    plain = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_rest_is_served_over_tls(secure):
    node = secure()
    assert node.url.startswith("https://")
    made = node.create(title="kept")
    assert node.request("GET", f"/tasks/{made['ID']}").json()["title"] == "kept"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_events_arrive_in_either_version_and_encoding(secure, authority, version):
    node = secure()
    context = authority.context()
    context.minimum_version = context.maximum_version = version
    text = RawWebSocket(node.port, tls=context)
    binary = RawWebSocket(node.port, headers=MSGPACK, tls=context)
    node.create(title="one")
    opcode, payload = text.message()
    assert opcode == TEXT and json.loads(payload)["entity"]["title"] == "one"
    opcode, payload = binary.message()
    assert opcode == BINARY and msgpack.unpackb(payload)["identity"] == "task"
    for session in (text, binary):
        session.send(CLOSE, struct.pack(">H", 1000))
        assert session.close_code() == 1000


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_versions_are_refused(secure, authority):
    node = secure("--print-counters")
    context = authority.context()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        tls_socket(node.port, context)
    assert node.counters()["tls_handshakes_failed_total"] == 1


def test_many_sessions_need_no_more_threads_than_few(secure, authority):
    raise_file_limit(2048)
    node = secure()
    context = authority.context()
    sessions = [RawWebSocket(node.port, tls=context) for _ in range(10)]
    with_few = node.threads()
    sessions += [RawWebSocket(node.port, tls=context) for _ in range(190)]
    assert node.threads() == with_few
    node.create(title="heard by all")
    for session in sessions:
        assert json.loads(session.message()[1])["entity"]["title"] == "heard by all"
        session.close()


def memory_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has memory of its own")
def test_an_idle_session_costs_less_than_20_kib(secure, authority):
    raise_file_limit(2048)
    node = secure(*PATIENT)
    context = authority.context()
    sessions = [RawWebSocket(node.port, tls=context) for _ in range(100)]
    before = memory_kib(node.pid)
    sessions += [RawWebSocket(node.port, tls=context) for _ in range(1000)]
    eventually(lambda: node.handed_over() == len(sessions), what="the last hand-over")
    assert (memory_kib(node.pid) - before) / 1000 < 20
    for session in sessions:
        session.close()


# ---- client certificates ----


def whoami(serve, authority, asked):
    command = [WHOAMI, "--model", MODEL, *flags(authority, "--tls-client-ca", authority.ca), asked]
    return serve(program=command)


def described(node, authority, client):
    """What REST and websocket handlers see of the same client."""
    answer = node.request("GET", "/tasks", verify=authority.ca, cert=client)
    with pytest.raises(Refused) as refused:
        RawWebSocket(node.port, tls=authority.context(client))
    assert answer.status_code == refused.value.status == 403
    rest = [error["description"] for error in answer.json()]
    push = [error["description"] for error in json.loads(refused.value.body)]
    assert rest[0] == push[0]
    return rest[0]


@pytest.mark.parametrize("asked", ["optional", "required"])
def test_handlers_see_who_the_client_is(serve, authority, asked):
    node = whoami(serve, authority, asked)
    with open(authority.client[0], encoding="ascii") as file:
        length = len(ssl.PEM_cert_to_DER_cert(file.read()))
    expected = f"CN=alice,O=Example DNS:alice.example.org email:a@example.org {length}"
    assert described(node, authority, authority.client) == expected


def test_a_client_without_a_certificate_is_nobody_where_it_is_optional(serve, authority):
    assert described(whoami(serve, authority, "optional"), authority, None) == "nobody"


def test_a_certificate_is_not_looked_at_where_none_is_asked_for(serve, authority):
    assert described(whoami(serve, authority, "none"), authority, authority.client) == "nobody"


def refused_by_alert(port, context):
    """In TLS 1.3 a client learns only from its first read that it is refused."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with tls_socket(port, context) as connection:
            connection.sendall(b"GET /tasks HTTP/1.1\r\nHost: x\r\n\r\n")
            if not connection.recv(1):
                raise ConnectionError("closed")
    return True


def test_a_required_certificate_must_be_there_and_of_the_authority(secure, authority, stranger):
    node = secure("--tls-client-ca", authority.ca, "--print-counters")
    assert refused_by_alert(node.port, authority.context())
    assert refused_by_alert(node.port, authority.context(stranger.client))
    session = RawWebSocket(node.port, tls=authority.context(authority.client))
    node.http.cert = authority.client
    node.create(title="by one we know")
    assert json.loads(session.message()[1])["entity"]["title"] == "by one we know"
    session.close()
    assert node.counters()["tls_handshakes_failed_total"] == 2


def test_a_bad_certificate_is_refused_even_where_none_is_needed(secure, authority, stranger):
    node = secure("--tls-client-ca", authority.ca, "--tls-client-cert", "optional")
    assert refused_by_alert(node.port, authority.context(stranger.client))
    assert node.request("GET", "/tasks").status_code == 200


# ---- options ----


@pytest.mark.parametrize(
    "given, named",
    [
        (("--tls-cert", "/nonexistent"), ("--tls-cert", "/nonexistent", "No such file")),
        (("--tls-cert", "{cert}"), ("--tls-key", "server.pem", "nothing of that kind is in it")),
        (("--tls-cert", "{key}"), ("--tls-cert", "nothing of that kind is in it")),
        (("--tls-cert", "{cert}", "--tls-key", "{other}"), ("--tls-key", "not the key of the certificate")),
        (("--tls-key", "{other}"), ("--tls-cert",)),
        (("--tls-cert", "{cert}", "--tls-key", "{key}", "--tls-client-ca", "/nonexistent"),
         ("--tls-client-ca", "/nonexistent")),
        (("--tls-cert", "{cert}", "--tls-key", "{key}", "--tls-client-cert", "required"),
         ("--tls-client-ca",)),
        (("--tls-client-cert", "perhaps"), ("--tls-client-cert", "none|optional|required")),
    ],
)
def test_a_bad_file_is_named_with_its_option(start, authority, given, named):
    names = {"cert": authority.server[0], "key": authority.server[1],
             "other": authority.client[1]}
    program = start(KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0",
                    *(text.format(**names) for text in given))
    assert program.wait() == 2
    lines = program.stderr().splitlines()
    assert len(lines) == 1
    assert all(text in lines[0] for text in named), lines


# ---- reload ----


def serial(port, context):
    with tls_socket(port, context) as connection:
        return connection.getpeercert()["serialNumber"]


def test_a_reload_is_for_connections_to_come(serve, authority, tmp_path):
    own = Authority(tmp_path)
    certificate, key = own.issue("server")
    node = serve("--tls-cert", certificate, "--tls-key", key, "--print-counters")
    node.http.verify = own.ca
    before = serial(node.port, own.context())
    session = RawWebSocket(node.port, tls=own.context())

    own.issue("server")
    node.signal(signal.SIGHUP)
    after = eventually(
        lambda: (now := serial(node.port, own.context())) != before and now,
        what="the new certificate",
    )

    with open(certificate, "w", encoding="ascii") as file:
        file.write("no certificate")
    node.signal(signal.SIGHUP)
    eventually(lambda: "--tls-cert" in node.stderr(), what="the complaint")
    assert serial(node.port, own.context()) == after
    node.create(title="still heard")
    assert json.loads(session.message()[1])["entity"]["title"] == "still heard"
    session.close()
    assert len([line for line in node.stderr().splitlines() if " error " in line]) == 1
    counters = node.counters()
    assert (counters["tls_reloads_total"], counters["tls_reloads_failed_total"]) == (1, 1)


def test_a_reload_changes_whose_clients_come_in(serve, authority, stranger, tmp_path):
    clients = tmp_path / "clients.pem"
    clients.write_bytes(open(authority.ca, "rb").read())
    node = serve(*flags(authority, "--tls-client-ca", str(clients)))
    ours, theirs = authority.context(authority.client), authority.context(stranger.client)
    session = RawWebSocket(node.port, tls=ours)
    assert refused_by_alert(node.port, theirs)

    clients.write_bytes(open(stranger.ca, "rb").read())
    node.signal(signal.SIGHUP)

    def comes_in():
        try:
            return RawWebSocket(node.port, tls=theirs)
        except (AssertionError, ssl.SSLError, ConnectionError):
            return None

    newcomer = eventually(comes_in, what="the new authority")
    assert refused_by_alert(node.port, ours)
    node.request("POST", "/tasks", json={"title": "for both"}, verify=authority.ca,
                 cert=stranger.client)
    for each in (session, newcomer):
        assert json.loads(each.message()[1])["entity"]["title"] == "for both"
        each.close()


# ---- clients that are not what they should be ----


def test_plain_http_on_a_tls_port_is_counted_and_harms_nobody(secure):
    node = secure("--print-counters")
    for _ in range(3):
        with pytest.raises((requests.ConnectionError, requests.ReadTimeout)):
            requests.get(f"http://127.0.0.1:{node.port}/tasks", timeout=10)
    assert node.request("GET", "/tasks").status_code == 200
    assert node.counters()["tls_handshakes_failed_total"] == 3


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"], ids=len)
def test_a_stalled_handshake_does_not_hold_a_worker(secure, sent):
    node = secure("--http-threads", "2", "--limit-head-timeout-ms", "500", "--print-counters")
    stalled = [socket.create_connection(("127.0.0.1", node.port), timeout=10) for _ in range(2)]
    for connection in stalled:
        connection.sendall(sent)
    assert node.request("GET", "/tasks").status_code == 200
    for connection in stalled:
        try:
            assert connection.recv(1) == b""
        except ConnectionError:
            pass
    assert node.counters()["http_heads_too_slow_total"] == 2


def hello_of(authority):
    """The first record of a handshake, which a client that goes on would follow up."""
    outgoing = ssl.MemoryBIO()
    handshake = authority.context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        handshake.do_handshake()
    return outgoing.read()


def test_handshakes_that_stall_do_not_hold_up_another_address(secure, authority):
    node = secure("--http-threads", "4", "--limit-head-timeout-ms", "20000",
                  "--health", "127.0.0.1:0")  # fmt: skip
    health = Health(node)
    hello = hello_of(authority)
    stalled = [socket.create_connection(("127.0.0.1", node.port), timeout=10) for _ in range(6)]
    for connection in stalled:
        connection.sendall(hello)
    for connection in stalled[:3]:
        assert connection.recv(1)  # it has a worker
    plain = socket.create_connection(("127.0.0.1", node.port), 10, source_address=("127.0.0.2", 0))
    with authority.context().wrap_socket(plain, server_hostname="127.0.0.1") as other:
        other.sendall(b"GET /tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert other.recv(65536).startswith(b"HTTP/1.1 200 ")
    eventually(lambda: health.sample("http_connections_held_total") == 3, what="those held back")
    for connection in stalled:
        connection.close()


def test_handshakes_that_failed_leave_no_connection_behind(secure):
    node = secure("--http-threads", "4")
    connections = [socket.create_connection(("127.0.0.1", node.port), timeout=10) for _ in range(6)]
    for connection in connections:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    for connection in connections:
        with contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass
        connection.close()
    answer = node.request("GET", "/tasks")
    assert answer.headers.get("Connection") != "close"


def test_a_request_that_stalls_inside_tls_does_not_hold_a_worker(secure, authority):
    node = secure("--http-threads", "1", "--limit-head-timeout-ms", "500")
    with tls_socket(node.port, authority.context()) as stalled:
        stalled.sendall(b"GET /tasks HT")
        assert node.request("GET", "/tasks").status_code == 200
        answer = b""
        while chunk := stalled.recv(65536):
            answer += chunk
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


def test_a_body_that_is_drawn_out_is_refused_in_time(secure, authority):
    node = secure("--limit-exchange-timeout-ms", "300", "--limit-head-timeout-ms", "10000",
                  "--print-counters")
    with tls_socket(node.port, authority.context()) as slow:
        slow.sendall(b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 100\r\n\r\n{")
        answer = b""
        while chunk := slow.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert node.counters()["http_body_too_slow_total"] == 1


def test_an_answer_that_is_not_read_holds_no_worker_for_long(secure, authority):
    node = secure("--http-threads", "1", "--limit-exchange-timeout-ms", "500", "--print-counters")
    for _ in range(40):
        node.create("/lists", name="large", description="x" * 500000)
    node.http.close()
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(30)
        plain.connect(("127.0.0.1", node.port))
        with authority.context().wrap_socket(plain, server_hostname="127.0.0.1") as deaf:
            deaf.sendall(b"GET /lists HTTP/1.1\r\nHost: x\r\n\r\n")
            assert node.request("GET", "/tasks").status_code == 200
    assert node.counters()["http_write_failed_total"] == 1


def test_a_session_that_stops_reading_is_ended(secure, authority):
    node = secure("--limit-write-stall-ms", "500", "--print-counters")
    deaf = RawWebSocket(node.port, receive_buffer=4096, tls=authority.context())
    for _ in range(40):
        node.create("/lists", name="large", description="x" * 200000)
    eventually(lambda: node.handed_over() == 0, what="the end of the session")
    deaf.close()
    assert node.counters()["sessions_closed_write_stall_total"] == 1


class Strict:
    """A context whose sockets tell an end without a close-notify from an orderly one."""

    def __init__(self, context):
        self.context = context

    def wrap_socket(self, plain, **options):
        return self.context.wrap_socket(plain, suppress_ragged_eofs=False, **options)


def test_the_end_of_the_server_is_orderly(secure, authority):
    node = secure()
    session = RawWebSocket(node.port, tls=Strict(authority.context()))
    node.signal(signal.SIGTERM)
    _, _, opcode, payload = session.receive()
    assert (opcode, struct.unpack(">H", payload[:2])[0]) == (CLOSE, 1001)
    assert session.socket.recv(1) == b""
    session.close()


def test_frames_behind_the_handshake_are_not_lost_in_silence(secure, authority):
    """A frame in the handshake's own record is refused; one in the next is simply read."""
    node = secure("--print-counters")
    head, _ = request(node.port)
    ping = frame(9, b"early")
    with tls_socket(node.port, authority.context()) as eager:
        eager.sendall(head + ping)
        received = b""
        while chunk := eager.recv(65536):
            received += chunk
    assert struct.pack(">H", 1002) in received.partition(b"\r\n\r\n")[2]
    with tls_socket(node.port, authority.context()) as eager:
        eager.sendall(head)
        eager.sendall(ping)
        received = b""
        while b"early" not in received:
            chunk = eager.recv(65536)
            assert chunk, received
            received += chunk
    assert node.counters()["http_ws_early_frames_total"] == 1


@pytest.mark.parametrize("how", ["close-notify", "half-closed", "closed", "reset"])
def test_a_peer_that_leaves_is_let_go(secure, authority, how):
    node = secure("--print-counters")
    session = RawWebSocket(node.port, tls=authority.context())
    assert eventually(node.handed_over, what="the hand-over") == 1
    if how == "close-notify":
        session.socket.settimeout(None)
        session.socket.unwrap().close()
    elif how == "half-closed":
        socket.socket.shutdown(session.socket, socket.SHUT_WR)
    elif how == "reset":
        session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        session.close()
    else:
        session.close()
    eventually(lambda: node.handed_over() == 0, what="the end of the session")
    session.close()
    counters = node.counters()
    ends = counters["sessions_closed_by_peer_total"] + counters["sessions_closed_io_error_total"]
    assert (counters["http_ws_connections_current"], ends) == (0, 1)


def test_what_does_not_decrypt_ends_the_session_alone(secure, authority):
    node = secure("--print-counters")
    context = authority.context()
    broken, sound = (RawWebSocket(node.port, tls=context) for _ in range(2))
    eventually(lambda: node.handed_over() == 2, what="both sessions")
    os.write(broken.socket.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
    eventually(lambda: node.handed_over() == 1, what="the end of the broken session")
    node.create(title="heard")
    assert json.loads(sound.message()[1])["entity"]["title"] == "heard"
    sound.close()
    broken.close()
    assert node.counters()["sessions_closed_io_error_total"] == 1


# ---- much data ----


def test_a_slow_reader_gets_large_events_whole(secure, authority):
    node = secure()
    slow = RawWebSocket(node.port, receive_buffer=4096, tls=authority.context())
    texts = [os.urandom(size * 1024).hex() for size in (100, 150, 50)]  # twice as many bytes
    for text in texts:
        node.create("/lists", name="large", description=text)
    for text in texts:
        assert json.loads(slow.message()[1])["entity"]["description"] == text
    slow.close()


@pytest.mark.parametrize("io", ["epoll", "auto"])
def test_sessions_that_read_late_get_all_in_order(secure, authority, io):
    node = secure(*PATIENT, "--io", io, "--limit-session-queue-messages", "10000",
                  "--limit-session-queue-bytes", "16777216", "--print-counters")  # fmt: skip
    sessions = [
        RawWebSocket(node.port, receive_buffer=4096, tls=authority.context()) for _ in range(8)
    ]
    sizes = [1 + (number * 7919) % 20000 for number in range(800)]  # 8 MB
    for number, size in enumerate(sizes):
        node.create(title="x" * size, number=number)
    for session in sessions:
        entities = [json.loads(session.message()[1])["entity"] for _ in sizes]
        assert [(entity["number"], len(entity["title"])) for entity in entities] == list(
            enumerate(sizes)
        )
        session.close()
    assert {name: n for name, n in node.counters().items() if "dropped" in name and n} == {}


def test_a_large_message_of_a_client_is_read_whole(secure, authority):
    node = secure("--limit-message-bytes", "300000")
    session = RawWebSocket(node.port, tls=authority.context())
    config = {"identities": {"list": []}, "padding": "x" * 200000}
    session.send(TEXT, json.dumps(config).encode())
    session.send(9, b"in force")
    assert session.receive()[2:] == (10, b"in force")
    node.create(title="unheard")
    node.create("/lists", name="heard")
    assert json.loads(session.message()[1])["entity"]["name"] == "heard"
    session.close()


def test_a_burst_arrives_in_order(secure, authority):
    node = secure()
    sessions = [RawWebSocket(node.port, tls=authority.context()) for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        readers = [
            pool.submit(lambda s: [json.loads(s.message()[1])["entity"]["number"]
                                   for _ in range(500)], session)
            for session in sessions
        ]
        for number in range(500):
            node.create(title="t", number=number)
        for reader in readers:
            assert reader.result(60) == list(range(500))
    for session in sessions:
        session.close()


# ---- kujata sub ----


def test_kujata_sub_prints_events_over_tls(secure, start, authority):
    node = secure("--tls-client-ca", authority.ca)
    node.http.cert = authority.client
    certificate, key = authority.client
    sub = start(KUJATA, "sub", f"wss://localhost:{node.port}/events", "--ca", authority.ca,
                "--cert", certificate, "--key", key)
    eventually(node.handed_over, what="the session")
    node.create(title="printed")
    assert json.loads(sub.line())["entity"]["title"] == "printed"
    sub.signal(signal.SIGTERM)
    assert sub.wait() == 0


def sub_fault(port, *more, host="127.0.0.1"):
    done = subprocess.run(
        (KUJATA, "sub", f"wss://{host}:{port}/events", *more),
        capture_output=True, text=True, timeout=60, check=False,
    )
    return done.returncode, done.stderr


def test_kujata_sub_checks_who_the_server_is(secure, authority, stranger, start):
    node = secure()
    for more in ((), ("--ca", stranger.ca)):
        code, text = sub_fault(node.port, *more)
        assert code == 1 and "certificate is refused" in text, text
    code, text = sub_fault(node.port, "--ca", authority.ca, host="127.0.0.2")
    assert code == 1, text
    assert sub_fault(node.port, "--ca", "/nonexistent")[0] == 2
    sub = start(KUJATA, "sub", f"wss://127.0.0.1:{node.port}/events", "--insecure")
    eventually(node.handed_over, what="the session")
    sub.signal(signal.SIGTERM)
    assert sub.wait() == 0


def test_kujata_sub_says_that_the_other_side_speaks_something_else(secure, serve, start):
    assert "does not speak TLS" in sub_fault(serve().port)[1]
    sub = start(KUJATA, "sub", f"ws://127.0.0.1:{secure().port}/events")
    assert sub.wait() == 1
    assert "wss://" in sub.stderr()


def test_kujata_sub_says_that_a_certificate_is_missing(secure, authority):
    node = secure("--tls-client-ca", authority.ca)
    code, text = sub_fault(node.port, "--ca", authority.ca)
    assert code == 1 and "certificate required" in text, text


def test_kujata_sub_checks_the_name_of_the_server(serve, authority, tmp_path):
    own = Authority(tmp_path)
    certificate, key = own.issue("server", names="DNS:elsewhere.example.org")
    node = serve("--tls-cert", certificate, "--tls-key", key)
    for host in ("127.0.0.1", "localhost"):
        code, text = sub_fault(node.port, "--ca", own.ca, host=host)
        assert code == 1 and "certificate is refused" in text, text
