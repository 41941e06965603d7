"""`kujata bench` with servers that do it wrong, stall or die, and runs that are cut short."""

import asyncio
import json
import math
import os
import signal
import socket
import time

import pytest
import websockets

from deadline import eventually
from programs import KUJATA
from relay import Relay, mark

EVENTS = 100  # of each run; the first number, or the first few, are those of probes
PROBES_MAX = 6
ONE = 30  # the event with which something goes wrong


def begin(start, url, *flags):
    return start(KUJATA, "bench", url, "--json", *flags)


def end(program, seconds=60):
    """The exit status and the report."""
    lines = "\n".join(iter(lambda: program.line(seconds), None))
    code = program.wait()
    assert "Sanitizer" not in program.stderr(), program.stderr()
    return code, json.loads(lines)


def bench(start, node, *flags):
    return begin(start, f"ws://127.0.0.1:{node.port}/events",
                 "--post", f"http://127.0.0.1:{node.port}/lists", *flags)  # fmt: skip


@pytest.fixture
def relay():
    """relay(deliver) starts one."""
    relays = []

    def make(deliver):
        relays.append(Relay(deliver))
        return relays[-1]

    yield make
    for each in relays:
        each.stop()


def run_with(start, relay, deliver, *flags, sessions=5):
    port = relay(deliver).port
    flags = flags or ("--rate", str(EVENTS), "--duration", "1")
    return end(begin(start, f"ws://127.0.0.1:{port}/", "--publish-to", f"ws://127.0.0.1:{port}/pub",
                     "--sessions", str(sessions), "--timeout-ms", "1000", *flags))  # fmt: skip


# ---- what goes wrong on the way ----


async def as_it_should(socket, index, number, message):
    await socket.send(message)


async def lose(socket, index, number, message):
    if (index, number) != (0, ONE):
        await socket.send(message)


async def double(socket, index, number, message):
    await socket.send(message)
    if (index, number) == (0, ONE):
        await socket.send(message)


def swapping():
    held = []

    async def swap(socket, index, number, message):
        if (index, number) == (0, ONE):
            held.append(message)
            return
        await socket.send(message)
        if index == 0 and held:
            await socket.send(held.pop())

    return swap


def hiding():
    """One event is lost, and another comes again, much later."""
    held = []

    async def hide(socket, index, number, message):
        if index == 0 and number == ONE - 10:
            held.append(message)
        if (index, number) != (0, ONE):
            await socket.send(message)
        if (index, number) == (0, ONE + 68):
            await socket.send(held.pop())

    return hide


@pytest.mark.parametrize(
    "deliver, lost, duplicates, disordered",
    [
        (as_it_should, 0, 0, 0),
        (lose, 1, 0, 0),
        (double, 0, 1, 0),
        (swapping(), 0, 0, 1),
        (hiding(), 1, 1, 0),
    ],
    ids=["nothing", "lost", "twice", "swapped", "one lost and another twice"],
)
def test_what_goes_wrong_is_counted_once(start, relay, deliver, lost, duplicates, disordered):
    code, report = run_with(start, relay, deliver)
    deliveries = report["deliveries"]
    assert deliveries["planned"] == deliveries["published"] == EVENTS
    assert deliveries["expected"] == 5 * EVENTS
    assert deliveries["received"] == 5 * EVENTS - lost
    assert (deliveries["lost"], deliveries["duplicates"], deliveries["disordered"]) == (
        lost, duplicates, disordered)  # fmt: skip
    assert report["latency_ms"]["count"] == deliveries["received"]
    assert report["complete_ms"]["count"] == EVENTS - lost
    assert code == (1 if lost or duplicates or disordered else 0)


def test_what_a_session_misses_that_the_server_ended_is_lost(start, relay):
    async def close(socket, index, number, message):
        if (index, number) == (0, ONE):
            await socket.close(1008)
        elif socket.open:
            await socket.send(message)

    code, report = run_with(start, relay, close)
    assert code == 1
    assert report["sessions"]["closed"] == 1
    assert "1008" in report["fault"]
    # From ONE to the last; those before the first that was measured were probes.
    assert 1 <= report["deliveries"]["lost"] - (EVENTS + 1 - ONE) <= PROBES_MAX


def test_the_load_ends_when_nobody_is_left_to_hear_it(start, relay):
    async def close(socket, index, number, message):
        if number == ONE:
            await socket.close(1008)
        elif socket.open:
            await socket.send(message)

    begun = time.monotonic()
    code, report = run_with(start, relay, close, "--window", "2", "--duration", "60")
    assert time.monotonic() - begun < 20
    assert code == 1
    assert report["sessions"]["closed"] == 5
    assert ONE - PROBES_MAX <= report["deliveries"]["published"] <= ONE + 2
    assert report["deliveries"]["window_timeouts"] == 0


def test_bytes_are_those_of_the_frames(start, relay):
    _, report = run_with(start, relay, as_it_should)
    assert report["deliveries"]["bytes_per_delivery"] == 128 + 4
    _, report = run_with(start, relay, as_it_should, "--payload", "100", "--duration", "1")
    assert report["deliveries"]["bytes_per_delivery"] == 100 + 2


def test_the_largest_payload_there_is_arrives(start, relay):
    code, report = run_with(start, relay, as_it_should, "--payload", str(1 << 20), "--duration", "1",
                            sessions=2)  # fmt: skip
    assert code == 0, report
    assert report["deliveries"]["received"] == 2 * report["deliveries"]["published"] > 0


# ---- latency ----


def test_percentiles_are_those_of_what_the_server_did(start, relay):
    """Each event is held back for a while of its own; what that comes to is computed here."""
    latencies = []

    async def hold_back(socket, index, number, message):
        await asyncio.sleep(0.5 if number % 10 == 0 else 0.001)
        latencies.append(time.monotonic_ns() - mark(message)[1])
        await socket.send(message)

    code, report = run_with(start, relay, hold_back, "--rate", "20", "--duration", "4",
                            "--timeout-ms", "10000", sessions=1)  # fmt: skip
    assert code == 0, report
    measured = sorted(latencies[-80:])  # before them were probes
    assert len(measured) == report["latency_ms"]["count"] == 80
    assert report["latency_from"] == "planned"
    for name, share in ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1):
        sent = measured[math.ceil(share * len(measured)) - 1] / 1e6
        # As precise as the buckets; never before it was sent, and not long after.
        assert sent * 0.995 <= report["latency_ms"][name] <= sent * 1.005 + 200, name
    # An event is later than planned since others were held back, not only when it was itself.
    assert measured[-1] / 1e6 > 500
    assert report["latency_ms"]["p90"] > 300


def test_a_server_that_stalls_cannot_hide_it(start, serve):
    node = serve()
    running = bench(start, node, "--sessions", "20", "--rate", "100", "--duration", "3",
                    "--server-pid", str(node.pid))  # fmt: skip
    time_of_one = time.monotonic() + 1.5  # in the midst of the measuring
    eventually(lambda: time.monotonic() > time_of_one, what="the middle")
    node.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    eventually(lambda: time.monotonic() > stopped + 0.4, what="the end of the stall")
    node.signal(signal.SIGCONT)
    code, report = end(running)
    assert code == 0, report
    # 40 of 300 events fell into it and waited 0.2 s on average, though one alone was under way.
    assert report["deliveries"]["published"] == 300
    assert report["latency_ms"]["max"] > 350
    assert report["latency_ms"]["p99"] > 300
    assert report["latency_ms"]["p90"] > 50
    assert report["deliveries"]["publish_late_ms"] > 300


def test_a_rate_that_cannot_be_met_is_told_and_ends(start, serve):
    code, report = end(bench(start, serve(), "--sessions", "2", "--rate", "1000000",
                             "--duration", "60", "--timeout-ms", "500"))  # fmt: skip
    assert code == 1
    deliveries = report["deliveries"]
    assert deliveries["planned"] == 60000000
    assert 0 < deliveries["published"] < deliveries["planned"]
    assert deliveries["received"] == deliveries["expected"] == deliveries["published"] * 2
    assert "fell behind --rate" in report["fault"]
    assert any("--rate asks for 1000000" in note for note in report["notes"])


def test_the_time_of_a_rate_is_its_duration(start, serve):
    code, report = end(bench(start, serve(), "--sessions", "2", "--rate", "1", "--duration", "2"))
    assert code == 0, report
    deliveries = report["deliveries"]
    assert deliveries["published"] == 2
    assert 2 <= deliveries["seconds"]
    assert deliveries["per_s"] <= 2.001
    assert report["notes"] == []


# ---- the server's figures ----


def test_a_server_that_dies_ends_the_run_without_figures_of_it(start, serve):
    node = serve()
    running = bench(start, node, "--sessions", "20", "--window", "4", "--duration", "60",
                    "--server-pid", str(node.pid))  # fmt: skip
    eventually(lambda: node.handed_over() >= 20, what="the sessions")
    time_of_one = time.monotonic() + 1.5
    eventually(lambda: time.monotonic() > time_of_one, what="the measuring")
    node.process.kill()
    node.process.wait()
    died = time.monotonic()
    code, report = end(running)
    assert time.monotonic() - died < 8  # less than --timeout-ms
    assert code == 1
    assert report["fault"]
    assert report["server"]["pss_after"] is None
    assert report["server"]["pss_per_session_after"] is None
    for figure in ("cpu_us_per_delivery", "cpu_us_per_connect"):
        assert report["server"][figure] is None or report["server"][figure] >= 0
    node.stop = lambda: None  # it has ended, and not well


def test_the_cost_of_few_connects_is_no_step_of_a_clock(start, serve):
    node = serve()
    url = f"ws://127.0.0.1:{node.port}/events"
    code, report = end(begin(start, url, "--sessions", "3", "--server-pid", str(node.pid)))
    assert code == 0, report
    server = report["server"]
    assert 0 < server["cpu_us_per_connect"] < 1e6
    assert server["pss_connected"] > server["pss_before"] - (1 << 20)
    # Nothing was published, so nothing of that kind has a value.
    assert server["cpu_us_per_delivery"] is server["cpu_us_per_event"] is None
    assert report["latency_ms"] == {
        "p50": None, "p90": None, "p99": None, "p99.9": None, "max": None, "count": 0
    }  # fmt: skip


def test_a_process_that_is_not_there_is_refused(start, serve):
    child = start("true")
    child.wait()
    program = start(KUJATA, "bench", "ws://127.0.0.1:1/", "--server-pid", str(child.pid))
    assert program.wait() == 2
    assert program.stderr() == f"kujata bench: --server-pid: there is no process {child.pid}\n"


def test_events_that_concern_nobody_have_a_cost_each(start, serve):
    node = serve()
    code, report = end(bench(start, node, "--sessions", "5", "--filter", "task", "--duration", "1",
                             "--server-pid", str(node.pid)))  # fmt: skip
    assert code == 0, report
    assert report["deliveries"]["published"] > 0
    assert report["deliveries"]["expected"] == report["deliveries"]["received"] == 0
    assert report["server"]["cpu_us_per_event"] > 0
    assert report["server"]["cpu_us_per_delivery"] is None


# ---- connecting and ending ----


def test_sessions_that_are_never_answered_have_failed(start):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        port = silent.getsockname()[1]
        code, report = end(begin(start, f"ws://127.0.0.1:{port}/", "--sessions", "40",
                                 "--connecting", "8", "--timeout-ms", "500"))  # fmt: skip
    assert code == 1
    assert report["sessions"]["opened"] == 0
    assert report["sessions"]["failed"] == 40
    assert "--timeout-ms" in report["fault"]


def test_what_is_under_way_at_an_interruption_is_not_lost(start, relay):
    """The events are late by half a second each, so that some are under way at any time."""

    async def be_late(subscriber, index, number, message):
        asyncio.get_running_loop().call_later(
            0.5, lambda: asyncio.ensure_future(send(subscriber, message))
        )

    async def send(subscriber, message):
        try:
            await subscriber.send(message)
        except websockets.ConnectionClosed:
            pass

    port = relay(be_late).port
    running = begin(start, f"ws://127.0.0.1:{port}/", "--sessions", "4", "--rate", "20",
                    "--publish-to", f"ws://127.0.0.1:{port}/pub", "--duration", "60")  # fmt: skip
    time_of_one = time.monotonic() + 3
    eventually(lambda: time.monotonic() > time_of_one, what="the measuring")
    running.signal(signal.SIGINT)
    code, report = end(running)
    assert code == 1
    assert "interrupted" in report["fault"]
    deliveries = report["deliveries"]
    assert 0 < deliveries["published"] < deliveries["planned"]
    assert deliveries["received"] == deliveries["expected"] == deliveries["published"] * 4
    assert deliveries["lost"] == deliveries["publish_errors"] == 0
    assert report["latency_ms"]["p50"] > 490


def test_those_who_listen_to_several_runs_count_each_for_itself(start, serve):
    node = serve()
    url = f"ws://127.0.0.1:{node.port}/events"
    holding = begin(start, url, "--sessions", "3", "--hold")
    eventually(lambda: "holding 3 sessions" in holding.stderr(), what="the sessions")
    published = 0
    for rate in "40", "20":
        code, report = end(bench(start, node, "--sessions", "1", "--rate", rate, "--duration", "1"))
        assert code == 0, report
        published += report["deliveries"]["published"]
    holding.signal()
    code, report = end(holding)
    assert code == 0, report
    assert report["deliveries"]["received"] >= published * 3
    assert report["deliveries"]["disordered"] == report["deliveries"]["duplicates"] == 0


def test_no_worker_is_left_behind(start, serve):
    """The second signal ends it at once, and the sessions with it."""
    node = serve()
    node.signal(signal.SIGSTOP)
    running = begin(start, f"ws://127.0.0.1:{node.port}/events", "--sessions", "2")
    children = f"/proc/{running.pid}/task/{running.pid}/children"
    worker = eventually(lambda: open(children).read().split(), what="the worker")[0]
    running.signal(signal.SIGINT)
    running.signal(signal.SIGINT)
    running.wait(20)
    eventually(lambda: not os.path.exists(f"/proc/{worker}"), what="the end of the worker")
    node.signal(signal.SIGCONT)
