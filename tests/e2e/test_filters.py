"""Attribute filters in push configs: which events of real writes they let through."""

import asyncio
import json

import msgpack
import pytest

from programs import Node
from rawws import CLOSE, PING, TEXT, RawWebSocket
from subscribers import JSON, MSGPACK, SECONDS, connect, create, receive, request, run, subscribe

# What is written: the attributes of each task, in order.
TASKS = [
    {"title": "alpha", "number": 1, "done": False},
    {"title": "beta", "number": 2, "done": True},
    {"title": "gamma", "number": 3, "status": "closed"},
    {"title": "alphabet", "number": 1, "done": True, "status": "closed"},
    {"title": "5"},
    {"title": 'say "hi"', "number": -7},
]

# A filter, and the numbers of the tasks it lets through.
FILTERS = [
    ("title == alpha", [0]),
    ('title == "alpha" or title == beta', [0, 1]),
    ("title != alpha", [1, 2, 3, 4, 5]),
    ('title matches "^alpha"', [0, 3]),
    ('title matches ["^al", "ma$"]', [0, 2, 3]),
    ("number == 1", [0, 3]),
    ("number == '1' and done == true", [3]),
    ("number != 1 and status == open", [1, 4, 5]),
    ("number == -7", [5]),
    ("title == 5", [4]),
    ("done == TRUE", [1, 3]),
    ("status == closed or done == true and number == 1", [3]),
    ("status == closed or (done == true and number == 2)", [1, 2, 3]),
    ("title exists", [0, 1, 2, 3, 4, 5]),
    ("nonsense exists", []),
    ("nonsense not exists and number == 2", [1]),
    ("nonsense != 1 and number == 3", [2]),
    ("title == 'say \"hi\"'", [5]),
]


def config_of(text, types=None):
    return {"identities": {"task": types, "list": None}, "filters": {"task": text}}


async def write_all(node):
    """Creates, updates and deletes each task, then a list, which everyone hears."""
    for attributes in TASKS:
        task = await create(node, **attributes)
        path = f"/tasks/{task['ID']}"
        answer = await request(node, "PATCH", path, json={"due": "2021-01-01T00:00:00Z"})
        assert answer.status_code == 200, answer.text
        await request(node, "DELETE", path)
    await create(node, "/lists", name="end")


async def read_to_end(session, encoding):
    """Title and type of all events before the list."""
    seen = []
    while True:
        event = await receive(session, encoding)
        if event["identity"] == "list":
            return seen
        seen.append((event["entity"]["title"], event["type"]))


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_each_filter_lets_through_what_it_says(node, encoding):
    async def body():
        sessions = [await connect(node, encoding) for _ in FILTERS]
        for session, (text, _) in zip(sessions, FILTERS):
            await subscribe(session, config_of(text), encoding)
        await write_all(node)
        for session, (text, wanted) in zip(sessions, FILTERS):
            expected = [
                (TASKS[number]["title"], kind)
                for number in wanted
                for kind in ("create", "update", "delete")
            ]
            assert await read_to_end(session, encoding) == expected, text
            await session.close()

    run(body())


def test_filters_and_types_are_both_asked(node):
    async def body():
        async with connect(node) as session:
            await subscribe(session, config_of("done == true", ["delete"]))
            await write_all(node)
            assert await read_to_end(session, JSON) == [("beta", "delete"), ("alphabet", "delete")]

    run(body())


def test_a_filter_sees_the_state_after_the_write(node):
    async def body():
        async with connect(node) as session:
            await subscribe(session, config_of("status == closed"))
            task = await create(node, title="t")
            path = f"/tasks/{task['ID']}"
            await request(node, "PATCH", path, json={"status": "closed", "title": "u"})
            await request(node, "PATCH", path, json={"status": "open"})
            await request(node, "DELETE", path)
            await create(node, "/lists", name="end")
            assert await read_to_end(session, JSON) == [("u", "update")]

    run(body())


def test_a_changed_filter_holds_for_what_comes_after_it(node):
    async def body():
        async with connect(node) as session:
            heard = []
            for number in range(12):
                await subscribe(session, config_of(f"number == {number}"))
                # The one that is heard comes last: none is under way when the next filter comes.
                for other in sorted(range(12), key=lambda other: other == number):
                    await create(node, title="t", number=other)
                event = await receive(session)
                heard.append(event["entity"]["number"])
            await subscribe(session, {"identities": {"list": None}})
            await create(node, title="t", number=11)
            await create(node, "/lists", name="end")
            assert await read_to_end(session, JSON) == []
        assert heard == list(range(12))

    run(body())


BAD = ["title ==", "number > 3", "title matches '('", "(" * 40 + "a == 1", "title == 1 title == 2"]


@pytest.fixture(scope="module")
def patient():
    """A node that closes every session with a bad filter soon."""
    started = Node("--limit-bad-config-wait-ms", "1", "--limit-bad-config-wait-max-ms", "1")
    yield started
    started.stop()


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_a_bad_filter_closes_with_1003(patient, encoding, text):
    node = patient

    async def body():
        async with connect(node, encoding) as session:
            config = config_of(text)
            await session.send(json.dumps(config) if encoding == JSON else msgpack.packb(config))
            await asyncio.wait_for(session.wait_closed(), SECONDS)
            assert session.close_code == 1003

    run(body())


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_a_bad_filter_is_told_and_mutes_until_a_good_one(serve, encoding):
    node = serve("--shards", "1", "--print-counters")

    async def body():
        query = "?enableErrors=true"
        async with connect(node, encoding, query) as session, connect(node) as witness:
            for number, text in enumerate(BAD[:3]):
                await subscribe(session, config_of(text), encoding)
                error = await receive(session, encoding)
                assert (error["type"], error["identity"]) == ("error", "")
                assert error["entity"]["title"] == "Bad request"
                assert error["entity"]["data"] == {"pushconfig": "filters"}
                description = error["entity"]["description"]
                assert description.startswith("unable to parse identity filters: elemental: ")
                assert json.dumps(text)[1:-1] in description or text in description
                # What the witness has heard, the one shard has decided for both.
                await create(node, title="unheard", number=number)
                assert (await receive(witness))["entity"]["number"] == number
                await subscribe(session, config_of(f"number == {number}"), encoding)
                await create(node, title="not this one", number=100)
                await create(node, title="heard", number=number)
                assert (await receive(session, encoding))["entity"]["title"] == "heard"
                for _ in range(2):
                    await receive(witness)

    run(body())
    counters = node.counters()
    assert counters["push_configs_bad_total"] == 3
    assert counters["push_configs_total"] == 3
    assert counters["error_events_total"] == 3
    assert counters["push_interests_current"] <= 3  # what is empty goes when a shard is busy


def numbers_of_tasks(session):
    """The numbers of all tasks before the list."""
    numbers = []
    while True:
        _, _, opcode, payload = session.receive()
        assert opcode == TEXT
        event = json.loads(payload)
        if event["identity"] == "list":
            return numbers
        numbers.append(event["entity"]["number"])


def test_200_sessions_with_20_filters(serve):
    node = serve("--shards", "2", "--print-counters")
    sessions = [RawWebSocket(node.port) for _ in range(200)]
    for place, session in enumerate(sessions):
        session.send(TEXT, json.dumps(config_of(f"number == {place % 20}")).encode())
        session.send(PING, b"in force")
    for session in sessions:
        assert session.receive()[3] == b"in force"
    for number in range(100):
        node.create(title="t", number=number % 25)
    node.create("/lists", name="end")
    for place, session in enumerate(sessions):
        assert numbers_of_tasks(session) == [place % 20] * 4
    for session in sessions:
        session.send(CLOSE, b"\x03\xe8")
        assert session.close_code() == 1000
        session.close()
    counters = node.counters()
    assert counters["push_configs_total"] == 200
    assert counters["events_queued_total"] == 200 * 5
    # Only the filter that an event is for, once for all its sessions; two shards may ask at the
    # same moment.
    assert 80 <= counters["filters_evaluated_total"] <= 80 * 2
