"""Events as an independent client sees them."""

import asyncio
import json

import msgpack
import pytest

from programs import KUJATA, MODEL
from subscribers import JSON, MSGPACK, SECONDS, connect, create, receive, request, run, subscribe


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_each_write_arrives_as_one_event_in_the_encoding_asked_for(node, encoding):
    async def body():
        async with connect(node, encoding) as session:
            task = await create(node, title="one")
            path = f"/tasks/{task['ID']}"
            await request(node, "PUT", path, json={"title": "two"})
            await request(node, "PATCH", path, json={"title": "three"})
            await request(node, "DELETE", path)
            seen = [await receive(session, encoding) for _ in range(4)]
        assert [event["type"] for event in seen] == ["create", "update", "update", "delete"]
        assert [event["entity"]["title"] for event in seen] == ["one", "two", "three", "three"]
        for event in seen:
            assert event["identity"] == "task"
            assert event["encoding"] == encoding
            assert event["entity"]["ID"] == task["ID"]
            assert set(event) == {"encoding", "entity", "identity", "timestamp", "type"}

    run(body())


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_a_filter_lets_through_what_it_names(node, encoding):
    async def body():
        async with connect(node, encoding) as session:
            config = {"identities": {"task": ["delete"], "list": None}}
            await subscribe(session, config, encoding)
            task = await create(node, title="unheard")
            made = await create(node, "/lists", name="heard")
            await request(node, "DELETE", f"/tasks/{task['ID']}")
            first = await receive(session, encoding)
            second = await receive(session, encoding)
        assert (first["identity"], first["entity"]["ID"]) == ("list", made["ID"])
        assert (second["identity"], second["type"]) == ("task", "delete")

    run(body())


def test_events_of_related_identities_pass_once(serve, tmp_path):
    with open(MODEL, encoding="utf-8") as file:
        model = json.load(file)
    for identity in model["identities"]:
        if identity["name"] == "task":
            identity["related"] = ["list"]
    path = tmp_path / "model.json"
    path.write_text(json.dumps(model))
    node = serve(program=[KUJATA, "serve", "--listen", "127.0.0.1:0", "--model", str(path)])

    async def body():
        async with connect(node) as of_lists, connect(node) as of_both:
            await subscribe(of_lists, {"identities": {"list": ["create"]}})
            await subscribe(of_both, {"identities": {"list": [], "task": []}})
            task = await create(node, title="related")
            await request(node, "DELETE", f"/tasks/{task['ID']}")
            await create(node, "/lists", name="last")
            for session, wanted in (
                (of_lists, ["create task", "create list"]),
                (of_both, ["create task", "delete task", "create list"]),
            ):
                events = [await receive(session) for _ in wanted]
                assert [f"{event['type']} {event['identity']}" for event in events] == wanted

    run(body())


def test_a_new_filter_replaces_the_old_one(node):
    async def body():
        async with connect(node) as session:
            await subscribe(session, {"identities": {"list": []}})
            await subscribe(session, {"identities": {"task": []}})
            await create(node, "/lists", name="unheard")
            await create(node, title="heard")
            assert (await receive(session))["identity"] == "task"

    run(body())


def test_secrets_stay_out_of_events(node):
    async def body():
        async with connect(node) as session:
            await create(node, "/lists", name="n", password="hunter2")
            event = await receive(session)
        assert event["entity"]["password"] == ""

    run(body())


def test_a_bad_filter_closes_with_1003(node):
    async def body():
        async with connect(node) as session:
            await session.send("{not json")
            await asyncio.wait_for(session.wait_closed(), SECONDS)
            assert session.close_code == 1003

    run(body())


# Shapes that bahamut takes too, and whether a new task is let through.
SHAPES = [
    (b"{}", True),
    (b"null", True),
    (b"[]", True),
    (b'{"identities":null,"filters":null,"parameters":null}', True),
    (b'{"identities":{"task":[]}} behind it', True),
    (b'{"hello":1,"identities":{"task":null}}', True),
    (b'[{"task":["create"]}]', True),
    (b'[{"task":["delete"]},{},{"k":["v"]},5]', False),
    (b'{"identities":{"tasks":[]}}', False),
    (b"\xc0", True),
    (b"\x80", True),
    (b"\x90", True),
    (b"\x80\xff\xff", True),
    (msgpack.packb({"identities": {"task": None}, "more": [1]}), True),
    (msgpack.packb([{"task": ["delete"]}, None]), False),
]


@pytest.mark.parametrize("opcode", [1, 2], ids=["text", "binary"])
def test_shapes_of_filters_that_bahamut_takes(serve, opcode):
    from rawws import PING, RawWebSocket

    node = serve("--shards", "1")
    witness = RawWebSocket(node.port)
    for config, passes in SHAPES:
        encoding = JSON if config[:1] in b"{[n" else MSGPACK
        session = RawWebSocket(node.port, headers={"Content-Type": encoding})
        session.send(opcode, config)
        session.send(PING, b"read")
        assert session.receive()[3] == b"read", config
        node.create(title="t")
        witness.message()  # so the one shard has decided for both
        session.send(PING, b"so far")
        if passes:
            assert b"create" in session.receive()[3], config
        assert session.receive()[3] == b"so far", config
        session.close()


REFUSED_SHAPES = [
    b"", b"12", b'"x"', b"true", b"nope", b'{"identities":', b'{"identities":["task"]}',
    b'{"identities":{"task":"create"}}', b'{"identities":{"task":[1]}}', b'{"parameters":{"k":"v"}}',
    b'{"identities":{"task":[]},"identities":{}}', b"[" * 65, b"\xc1", b"\x01", b"\x81\xaaidentities\x90",
    b"\xdf\xff\xff\xff\xff", b"\x81",
]  # fmt: skip


def test_shapes_of_filters_that_are_none(serve):
    from rawws import CLOSE, RawWebSocket

    node = serve("--limit-bad-config-wait-ms", "1", "--limit-bad-config-wait-max-ms", "1")
    for config in REFUSED_SHAPES:
        encoding = MSGPACK if config[:1] >= b"\x80" or config == b"\x01" else JSON
        session = RawWebSocket(node.port, headers={"Content-Type": encoding})
        session.send(1, config)
        opcode, payload = session.message()
        assert (opcode, payload) == (CLOSE, b"\x03\xeb"), config
        session.close()


def test_no_filter_of_many_sent_at_once_is_lost(serve):
    from rawws import PING, TEXT, RawWebSocket, frame

    node = serve("--print-counters")
    session = RawWebSocket(node.port)
    configs = [json.dumps({"identities": {"task": [f"type{n}"]}}).encode() for n in range(999)]
    configs.append(b'{"identities":{"task":null},"filters":{"task":"title == last"}}')
    session.send_bytes(b"".join(frame(TEXT, config) for config in configs))
    session.send(PING, b"all read")
    assert session.receive()[3] == b"all read"
    node.create(title="other")
    node.create(title="last")
    assert json.loads(session.message()[1])["entity"]["title"] == "last"
    session.close()
    assert node.counters()["push_configs_total"] == 1000


def test_a_bad_filter_is_an_error_event_for_those_who_asked(serve):
    node = serve("--shards", "1")

    async def body():
        query = "?enableErrors=true"
        async with connect(node, query=query) as session, connect(node) as witness:
            await session.send("{not json")
            event = await receive(session)
            assert (event["type"], event["identity"]) == ("error", "")
            assert event["entity"]["title"] == "Bad request"
            assert event["entity"]["description"]
            # Nothing is delivered until a good filter comes. What the witness has heard, the
            # shard has decided for both.
            await create(node, title="unheard")
            assert (await receive(witness))["entity"]["title"] == "unheard"
            await subscribe(session, {"identities": {}})
            await create(node, title="heard")
            assert (await receive(session))["entity"]["title"] == "heard"

    run(body())


def test_the_code_of_a_client_s_close_is_echoed(node):
    async def body():
        session = await connect(node)
        await session.close(code=4321)
        assert session.close_code == 4321

    run(body())


def test_events_of_before_the_session_do_not_arrive(node):
    async def body():
        await create(node, title="before")
        async with connect(node) as session:
            await create(node, title="after")
            assert (await receive(session))["entity"]["title"] == "after"

    run(body())


def test_pings_are_answered_while_events_flow(node):
    async def body():
        async with connect(node) as session:
            for number in range(20):
                await create(node, title="t", number=number)
                await asyncio.wait_for(await session.ping(), SECONDS)
            for number in range(20):
                assert (await receive(session))["entity"]["number"] == number

    run(body())


def test_the_server_pings_and_drops_those_who_never_pong(serve):
    from rawws import PING, RawWebSocket

    node = serve("--print-counters", "--limit-ping-interval-ms", "100", "--limit-pong-timeout-ms", "400")
    session = RawWebSocket(node.port)
    assert session.receive()[2] == PING
    with pytest.raises((EOFError, ConnectionError)):
        while True:
            session.receive()
    session.close()
    assert node.counters()["sessions_closed_pong_timeout_total"] == 1


def refusal_of(node, headers, path="/events"):
    """The one error of a refused handshake, as a client reads it that knows its encoding only."""
    from rawws import RawWebSocket, Refused

    with pytest.raises(Refused) as refused:
        RawWebSocket(node.port, path, headers=headers)
    answer = refused.value
    assert len(answer.body) < 1024
    encoding = MSGPACK if headers.get("Accept") == MSGPACK else JSON
    assert answer.headers["content-type"].startswith(encoding)
    (error,) = json.loads(answer.body) if encoding == JSON else msgpack.unpackb(answer.body)
    assert error["code"] == answer.status
    assert error["title"] and error["description"]
    return answer.status


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Content-Type": "text/html"}, 415),
        ({"Content-Type": "text/" + "x" * 3000}, 415),
        ({"Content-Type": ";" * 3000}, 400),
        ({"Sec-WebSocket-Version": "7"}, 400),
        ({"Sec-WebSocket-Key": ""}, 400),
        ({"Upgrade": "h2c"}, 400),
        ({"Upgrade": None}, 400),
        ({"Connection": "keep-alive"}, 400),
    ],
)
def test_a_refused_handshake_says_why_in_the_client_s_encoding(node, encoding, headers, status):
    assert refusal_of(node, {"Accept": encoding, **headers}) == status


@pytest.mark.parametrize("accept, status", [("text/html", 415), ("text/" + "x" * 3000, 415), ("/", 400)])
def test_an_accept_that_is_none_is_answered_in_json(node, accept, status):
    assert refusal_of(node, {"Accept": accept}) == status


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_a_session_too_many_is_told_in_its_encoding(serve, encoding):
    from rawws import RawWebSocket

    node = serve("--limit-sessions", "1")
    session = RawWebSocket(node.port)
    assert refusal_of(node, {"Accept": encoding}) == 503
    session.close()


def test_origins_of_the_server_itself_and_on_the_list_may_connect(serve):
    from rawws import RawWebSocket

    node = serve("--allow-origin", "https://app.example", "--allow-origin=https://b.example")
    for origin in (f"http://127.0.0.1:{node.port}", "https://app.example", "https://b.example"):
        RawWebSocket(node.port, headers={"Origin": origin}).close()
