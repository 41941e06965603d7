"""`kujata bench` against a node: what it reports is what the node counted."""

import asyncio
import json
import shutil
import ssl
import subprocess
import threading

import pytest
import websockets

from deadline import eventually
from programs import KUJATA, free_port


def bench(start, node, *flags, path="/lists", publish=True):
    """The exit status and the report of one run."""
    base = f"http://127.0.0.1:{node.port}"
    post = ("--post", base + path) if publish else ()
    program = start(KUJATA, "bench", f"ws://127.0.0.1:{node.port}/events", "--json", *post, *flags)
    lines = "\n".join(iter(lambda: program.line(120), None))
    code = program.wait()
    assert "Sanitizer" not in program.stderr(), program.stderr()
    return code, json.loads(lines)


def test_what_it_reports_is_what_the_server_counted(serve, start):
    node = serve("--print-counters")
    code, report = bench(start, node, "--sessions", "100", "--rate", "50", "--duration", "2",
                         "--server-pid", str(node.pid))  # fmt: skip
    assert code == 0, report
    counters = node.counters()
    deliveries = report["deliveries"]
    assert report["fault"] == ""
    assert report["sessions"]["opened"] == 100
    assert deliveries["published"] == 100
    assert deliveries["received"] == deliveries["expected"] == 100 * 100
    # The probes before the measuring are events, too.
    probes = counters["events_published_total"] - 100
    assert 1 <= probes <= 6
    assert counters["events_queued_total"] >= 100 * 100
    assert counters["events_queued_total"] <= 100 * (100 + probes)
    assert report["latency_ms"]["count"] == 100 * 100
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["max"]
    assert report["complete_ms"]["count"] == 100
    assert all(deliveries[fault] == 0 for fault in ("lost", "duplicates", "disordered", "broken"))
    assert report["server"]["cpu_us_per_delivery"] > 0
    assert report["server"]["pss_after"] > 0


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_filters_decide_who_is_expected_to_hear(serve, start, encoding):
    node = serve()
    code, report = bench(start, node, "--sessions", "40", "--processes", "2", "--window", "4",
                         "--duration", "1", "--encoding", encoding, "--filter", "list:create",
                         "--filter", "list:update", "--filter", "task",
                         "--filter", "list")  # fmt: skip
    assert code == 0, report
    deliveries = report["deliveries"]
    assert deliveries["published"] > 0
    assert deliveries["received"] == deliveries["published"] * 20
    assert deliveries["unexpected"] == 0


def test_sessions_that_never_read_are_not_waited_for(serve, start):
    node = serve()
    code, report = bench(start, node, "--sessions", "20", "--stall", "0.25", "--duration", "1")
    assert code == 0, report
    assert report["sessions"]["stalled"] == 5
    assert report["deliveries"]["expected"] == report["deliveries"]["published"] * 15


def test_sessions_beyond_the_descriptors_live_in_several_processes(serve, start):
    node = serve()
    url = f"127.0.0.1:{node.port}"
    program = start("prlimit", "--nofile=150:150", KUJATA, "bench", f"ws://{url}/events", "--json",
                    "--post", f"http://{url}/lists", "--sessions", "250", "--rate", "20",
                    "--duration", "1")  # fmt: skip
    report = json.loads("\n".join(iter(lambda: program.line(60), None)))
    assert program.wait() == 0, report
    assert report["sessions"]["opened"] == 250
    assert report["deliveries"]["received"] == report["latency_ms"]["count"] == 250 * 20
    # Of each event the last session of all processes.
    assert report["complete_ms"]["count"] == 20
    assert report["complete_ms"]["max"] == report["latency_ms"]["max"]
    assert report["complete_ms"]["p50"] >= report["latency_ms"]["p50"]


def test_sessions_that_cannot_connect_are_a_failure(serve, start):
    node = serve("--limit-sessions", "5")
    code, report = bench(start, node, "--sessions", "8", publish=False)
    assert code == 1
    assert report["sessions"]["opened"] == 5
    assert report["sessions"]["failed"] == 3
    assert "503" in report["fault"]


def test_hold_counts_what_others_publish_until_a_signal(serve, start):
    node = serve()
    url = f"ws://127.0.0.1:{node.port}/events"
    holding = start(KUJATA, "bench", url, "--sessions", "10", "--hold", "--json")
    eventually(lambda: "holding 10 sessions" in holding.stderr(), what="the sessions")
    code, report = bench(start, node, "--sessions", "3", "--duration", "1")
    assert code == 0, report
    holding.signal()
    held = json.loads("\n".join(iter(lambda: holding.line(), None)))
    assert holding.wait() == 0, held
    assert held["deliveries"]["received"] >= report["deliveries"]["published"] * 10


def test_a_server_that_ends_the_sessions_is_noticed(serve, start):
    node = serve()
    url = f"ws://127.0.0.1:{node.port}/events"
    holding = start(KUJATA, "bench", url, "--sessions", "10", "--hold", "--json")
    eventually(lambda: "holding 10 sessions" in holding.stderr(), what="the sessions")
    node.stop()
    holding.signal()
    held = json.loads("\n".join(iter(lambda: holding.line(), None)))
    assert holding.wait() == 1
    assert held["sessions"]["closed"] == 10
    assert "1001" in held["fault"]


def test_headers_go_with_what_is_published_too(serve, start, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("good sub=ann\n")
    node = serve("--auth-tokens", str(tokens))
    flags = ("--sessions", "2", "--duration", "1", "--header", "Authorization: Bearer good")
    code, report = bench(start, node, *flags)
    assert code == 0, report
    assert report["deliveries"]["received"] == report["deliveries"]["expected"] > 0


def test_a_refusal_of_what_is_published_is_told_with_its_reason(serve, start):
    code, report = bench(start, serve(), "--sessions", "1", "--duration", "1", "--identity-attribute", "nothing")
    assert code == 1
    assert "422" in report["fault"] and "Attribute 'name' is required" in report["fault"]


@pytest.mark.parametrize(
    "flags, named",
    [
        (("ftp://x",), "ftp://x"),
        (("ws://127.0.0.1:1/", "--rate", "1", "--window", "1"), "--rate"),
        (("ws://127.0.0.1:1/", "--stall", "2"), "--stall"),
        (("ws://127.0.0.1:1/", "--post", "http://127.0.0.1:1/", "--body", "x"), "--body"),
        (("ws://127.0.0.1:1/", "--send", "hex:1"), "--send"),
        (("ws://127.0.0.1:1/", "--header", "Authorization Bearer x"), "--header"),
        (("ws://127.0.0.1:1/", "--server-pid", "self"), "--server-pid"),
        (("ws://127.0.0.1:1/", "--processes", "1", "--sessions", "10000000"), "--processes"),
        ((), "URL"),
    ],
)
def test_a_bad_flag_is_named_with_exit_2(start, flags, named):
    program = start(KUJATA, "bench", *flags)
    assert program.wait() == 2, program.stderr()
    assert named in program.stderr()
    assert len(program.stderr().splitlines()) == 1


def test_nobody_there_is_a_failure(start):
    program = start(KUJATA, "bench", f"ws://127.0.0.1:{free_port()}/", "--sessions", "2")
    assert program.wait() == 1
    assert any("refused" in line for line in iter(lambda: program.line(), None))


@pytest.fixture
def certificate(tmp_path):
    """A certificate that vouches for itself, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-keyout key.pem -out cert.pem -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    return str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")


@pytest.fixture
def relay(certificate):
    """The port of a foreign server with TLS: what a message on /pub says goes to the others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    subscribers = set()
    loop = asyncio.new_event_loop()

    async def handle(socket, path):
        if path == "/pub":
            async for message in socket:
                websockets.broadcast(subscribers, message)
        else:
            subscribers.add(socket)
            await socket.wait_closed()
            subscribers.discard(socket)

    async def begin():
        return await websockets.serve(handle, "127.0.0.1", 0, ssl=context, compression=None)

    async def end(server):
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(begin(), loop).result(20)
    yield server.sockets[0].getsockname()[1]
    asyncio.run_coroutine_threadsafe(end(server), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)


@pytest.mark.parametrize("payload", [40, 200000])
def test_tls_and_a_foreign_server_published_to_by_messages(start, relay, certificate, payload):
    program = start(KUJATA, "bench", f"wss://127.0.0.1:{relay}/", "--json", "--sessions", "10",
                    "--publish-to", f"wss://localhost:{relay}/pub", "--ca", certificate[0],
                    "--window", "2", "--duration", "1", "--payload", str(payload))  # fmt: skip
    report = json.loads("\n".join(iter(lambda: program.line(60), None)))
    assert program.wait() == 0, report
    assert report["deliveries"]["received"] == report["deliveries"]["published"] * 10 > 0


def test_a_certificate_nobody_vouches_for_is_refused(start, relay):
    program = start(KUJATA, "bench", f"wss://127.0.0.1:{relay}/", "--sessions", "2", "--json")
    report = json.loads("\n".join(iter(lambda: program.line(60), None)))
    assert program.wait() == 1
    assert report["sessions"]["failed"] == 2
    assert "TLS" in report["fault"]
