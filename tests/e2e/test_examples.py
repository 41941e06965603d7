"""The examples do what they say."""

import json
import os

import pytest
import requests

from deadline import eventually
from programs import KUJATA, free_port
from rawws import RawWebSocket, Refused

EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "..", "examples")


def test_minimal_serves_pushes_and_hides(start):
    port = free_port()
    program = start(os.environ["KUJATA_MINIMAL"], f"127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}/tasks"
    eventually(lambda: serves(program, url), what="the example's answer")
    session = RawWebSocket(port)
    for body in ({"title": "hidden", "hidden": True}, {"title": "shown"}):
        assert requests.post(url, json=body, timeout=30).status_code == 200
    assert json.loads(session.message()[1])["entity"]["title"] == "shown"
    session.close()
    program.stop()


def test_lamps_tells_of_a_room_and_takes_orders(start):
    port = free_port()
    program = start(os.environ["KUJATA_LAMPS"], f"127.0.0.1:{port}")
    base = f"http://127.0.0.1:{port}"
    eventually(lambda: serves(program, f"{base}/lamps"), what="the example's answer")

    # whoever shows no token stays outside, whoever does is told of the room
    with pytest.raises(Refused, match="401"):
        RawWebSocket(port)
    session = RawWebSocket(port, path="/events?token=in-the-kitchen")
    lamps = [json.loads(session.message()[1])["entity"] for _ in range(2)]
    assert lamps == [{"ID": i, "room": "kitchen", "on": False} for i in ("1", "2")]

    # what the processor and the route do is heard of, but for other rooms
    for lamp in ("3", "1"):
        changed = requests.patch(f"{base}/lamps/{lamp}", json={"on": True}, timeout=30)
        assert changed.json()["on"] is True
    assert requests.get(f"{base}/lamps/4", timeout=30).status_code == 404
    assert requests.post(f"{base}/switch/off", timeout=30).status_code == 204
    heard = [json.loads(session.message()[1])["entity"] for _ in range(3)]
    assert [(lamp["ID"], lamp["on"]) for lamp in heard] == [("1", True), ("1", False), ("2", False)]
    assert not any(lamp["on"] for lamp in requests.get(f"{base}/lamps", timeout=30).json())
    session.close()
    program.stop()


def serves(program, url):
    assert program.process.poll() is None, program.stderr()
    try:
        return requests.get(url, timeout=30).status_code == 200
    except requests.ConnectionError:
        return False


def test_watch_prints_events(serve, start):
    node = serve()
    url = f"ws://127.0.0.1:{node.port}/events"
    watch = start("/usr/bin/python3", os.path.join(EXAMPLES, "watch.py"), url)


    def heard():
        node.create(title="heard")
        assert watch.process.poll() is None, watch.stderr()
        return watch.lines.qsize()

    eventually(heard, what="a line")
    assert watch.line().startswith("create task ")


def test_minimal_fits_in_forty_lines():
    with open(os.path.join(EXAMPLES, "minimal.c"), encoding="utf-8") as source:
        assert len(source.readlines()) <= 40


def test_the_todo_model_serves(serve):
    command = [KUJATA, "serve", "--listen", "127.0.0.1:0"]
    command += ["--model", os.path.join(EXAMPLES, "todo", "model.json")]
    node = serve(program=command)
    session = RawWebSocket(node.port)
    groceries = node.create("/lists", name="groceries")
    node.create(f"/lists/{groceries['ID']}/tasks", name="milk")
    assert json.loads(session.message()[1])["entity"]["name"] == "groceries"
    assert json.loads(session.message()[1])["entity"]["name"] == "milk"
    session.close()
