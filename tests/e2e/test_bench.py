"""`kujata bench` against a node: what it reports is what the node counted."""

import json

import pytest

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
    assert 1 <= probes <= 20
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


@pytest.mark.parametrize(
    "flags, named",
    [
        (("ftp://x",), "ftp://x"),
        (("ws://127.0.0.1:1/", "--rate", "1", "--window", "1"), "--rate"),
        (("ws://127.0.0.1:1/", "--stall", "2"), "--stall"),
        (("ws://127.0.0.1:1/", "--post", "http://127.0.0.1:1/", "--body", "x"), "--body"),
        (("ws://127.0.0.1:1/", "--send", "hex:1"), "--send"),
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
