"""The scripts of bench/, for seconds each."""

import importlib.machinery
import importlib.util
import json
import os
import shutil

import pytest

from programs import SANITIZED, find_broker

BENCH = os.path.join(os.path.dirname(__file__), "..", "..", "bench")


def run(start, *command, seconds=240):
    program = start(os.path.join(BENCH, command[0]), *command[1:])
    assert program.wait(seconds) == 0, program.stderr()
    return "\n".join(iter(lambda: program.line(), None))


@pytest.fixture(scope="module")
def compare():
    """The script as a module."""
    loader = importlib.machinery.SourceFileLoader("compare", os.path.join(BENCH, "compare"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("compare", loader))
    loader.exec_module(module)
    return module


class Kind:
    def __init__(self, name):
        self.name = name


def turn(value):
    cpu = {"w1_small": value, "w1_large": value, "w8_small": value, "w4_large": value}
    return {**cpu, "lost": value == 16, "disordered": 0}


def test_ratios_are_those_of_each_turn(compare):
    """The machine is twice as fast in the second turn: what was compared is the same."""
    floors = [{"small": {"send": send}, "large": {"send": send}} for send in (8, 4, 8)]
    result = compare.summarize(floors, {"a": [turn(8), turn(4), turn(8)], "b": [turn(4), turn(2), turn(16)]}, {})
    assert result["ratios"]["a"]["w1_small"] == {"median": 1, "low": 1, "high": 1}
    assert result["servers"]["a"]["lost"] == 0
    assert result["servers"]["b"]["lost"] == 1  # in one turn only
    # The median leaves the one disturbed turn out, which is told.
    assert result["ratios"]["b"]["w1_small"] == {"median": 0.5, "low": 0.5, "high": 2}
    assert "300 % apart between turns at most (b)" in " ".join(compare.doubts(result))


def test_the_servers_take_turns_in_being_first_between_two_floors(compare):
    order = []
    floors = iter([{"small": {"send": 4}}, {"small": {"send": 6}}] * 3)

    def measure(kind):
        order.append(kind.name)
        if kind.name == "b" and len(order) > 3:
            raise compare.servers.Missing("gone")
        return turn(1)

    missing, turns = {}, []
    for number in range(3):
        floor, figures = compare.take_turn(number, [Kind(name) for name in "abc"], measure,
                                           lambda: next(floors), missing)  # fmt: skip
        assert floor == {"small": {"send": 5}}
        turns.append(figures)
    assert order == ["a", "b", "c", "b", "c", "a", "c", "a"]
    assert missing == {"b": "gone"}
    # One that was there at first only is left out, not in the table with the turns it had.
    by_name = {name: [figures[name] for figures in turns if name in figures] for name in "abc"}
    result = compare.summarize([{"small": {"send": 5}}] * 3, by_name, missing)
    assert set(result["servers"]) == {"a", "c"}
    assert "Left out: b (gone)." in list(compare.doubts(result))


def test_the_comparison_measures_and_says_what_it_doubts(start, tmp_path):
    if not shutil.which("cc") or os.cpu_count() < 2:
        pytest.skip("there is no compiler, or no second core")
    figures = tmp_path / "figures.json"
    text = run(start, "compare", "--only", "kujata-epoll", "--small", "20", "--large", "40",
               "--duration", "1", "--repeat", "1", "--json", str(figures))  # fmt: skip
    assert "| kujata-epoll | " in text
    assert "of 132 bytes, in the same turn" in text
    measured = json.loads(figures.read_text())
    assert measured["measured"] == 9  # four floors, and a server five times
    assert f"In {measured['disturbed']} of 9 measurings others took" in text
    assert measured["servers"]["kujata-epoll"][0]["lost"] == 0
    assert measured["faults"] == {}


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
