"""The examples do what they say."""

import json
import os

import requests

from deadline import eventually
from programs import KUJATA, free_port
from rawws import RawWebSocket

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
