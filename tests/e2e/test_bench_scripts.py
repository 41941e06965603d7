"""The scripts of bench/, for seconds each."""

import json
import os

import pytest

from programs import SANITIZED, find_broker

BENCH = os.path.join(os.path.dirname(__file__), "..", "..", "bench")


def run(start, *command, seconds=240):
    program = start(os.path.join(BENCH, command[0]), *command[1:])
    assert program.wait(seconds) == 0, program.stderr()
    return "\n".join(iter(lambda: program.line(), None))


def test_nothing_is_left_over_after_a_short_soak(start):
    # The sanitizers keep freed memory back, so that only descriptors and threads say something.
    margin = "1000" if SANITIZED else "4"
    text = run(start, "soak", "--minutes", "0.25", "--sessions", "60", "--margin-mb", margin)
    assert text.count("descriptors") == 3


def test_filters_for_other_values_cost_little(start):
    text = run(start, "distinct", "--sessions", "200", "--events", "50", "--repeat", "1")
    assert "200 filters: " in text


def test_an_event_on_one_node_reaches_the_sessions_of_all(start):
    if not find_broker():
        pytest.skip("there is no nats-server")
    text = run(start, "cluster", "--nodes", "3", "--sessions", "40", "--seconds", "1", "--json",
               "--within-ms", "10000")  # fmt: skip
    report = json.loads(text)
    assert report["sessions"]["opened"] == 120
    assert report["deliveries"]["received"] == report["deliveries"]["published"] * 120 > 0
    # One in for each event, those before the measuring too, and one out for each node.
    assert report["broker"]["in_msgs"] > report["deliveries"]["published"]
    assert report["broker"]["out_msgs"] == report["broker"]["in_msgs"] * 3
