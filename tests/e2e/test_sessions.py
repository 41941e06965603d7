"""Sessions that are users: direct pushes, new tokens, and handshakes refused by handlers."""

import asyncio
import itertools
import json
import os

import msgpack
import pytest

from programs import MODEL, Node
from rawws import CLOSE, PING, PONG, TEXT, RawWebSocket, Refused
from subscribers import JSON, MSGPACK, SECONDS, connect, create, receive, run, subscribe

SWITCHBOARD = os.environ.get("KUJATA_SWITCHBOARD", "switchboard")


@pytest.fixture
def board(tmp_path):
    node = Node(program=[SWITCHBOARD, "--model", MODEL], cwd=tmp_path)
    node.hold = tmp_path / "hold"
    yield node
    node.stop()


def test_a_push_goes_to_one_user_alone(board):
    async def body():
        async with connect(board, JSON, "?token=alice") as alice:
            async with connect(board, MSGPACK, "?token=bob") as bob:
                for session in (alice, bob):  # the board knows of those whose shard has them
                    await asyncio.wait_for(await session.ping(), SECONDS)
                await create(board, "/lists", name="bob", description="direct")
                await create(board, "/lists", name="alice", description="direct", password="x")
                await create(board, title="everybody")
                event = await receive(bob, MSGPACK)
                assert (event["identity"], event["entity"]["name"]) == ("list", "bob")
                assert (await receive(bob, MSGPACK))["entity"]["title"] == "everybody"
                event = await receive(alice)
                assert (event["entity"]["name"], event["entity"]["password"]) == ("alice", "")
                assert (await receive(alice))["entity"]["title"] == "everybody"

    run(body())


def test_a_push_heeds_the_filter_of_identities(board):
    async def body():
        async with connect(board, JSON, "?token=alice") as alice:
            await subscribe(alice, {"identities": {"task": None}})
            await create(board, "/lists", name="alice", description="direct")
            await create(board, title="heard")
            assert (await receive(alice))["entity"]["title"] == "heard"

    run(body())


def renew(session, token, **more):
    config = {"identities": {}, "parameters": {"token": [token], **more}}
    session.send(TEXT, json.dumps(config).encode())


def wait_for_user(board, session, user):
    """Writes to that user until the last one is heard; whatever else comes is returned."""
    others = []
    for turn in itertools.count():
        board.create("/lists", name=user, description=f"turn {turn}")
        while session.has_data(0.05):
            opcode, payload = session.message()
            assert opcode == TEXT, payload
            entity = json.loads(payload)["entity"]
            if entity["name"] != user:
                others.append(entity["name"])
            elif entity["description"] == f"turn {turn}":
                return others


def test_a_new_token_makes_another_user_of_a_session(board):
    session = RawWebSocket(board.port, "/events?token=alice")
    assert wait_for_user(board, session, "alice") == []
    renew(session, "carol")
    assert wait_for_user(board, session, "carol") == []
    for name in ("alice", "carol"):
        board.create("/lists", name=name)
    board.create(title="end")
    heard = []
    while True:
        entity = json.loads(session.message()[1])["entity"]
        if entity.get("title") == "end":
            break
        heard.append(entity["name"])
    assert "carol" in heard and "alice" not in heard
    session.close()


def test_until_the_verdict_a_session_is_who_it_was_and_others_go_on(board):
    board.hold.write_text("")
    sessions = [RawWebSocket(board.port, "/events?token=alice") for _ in range(8)]
    for session in sessions[1:]:
        for _ in range(20):
            renew(session, "slow")
        session.send(PING, b"read")
        while session.receive()[2] != PONG:
            pass
    board.create("/lists", name="slow")
    board.create("/lists", name="alice")
    for session in sessions:
        assert json.loads(session.message()[1])["entity"]["name"] == "alice"
    board.hold.unlink()
    for session in sessions[1:]:
        wait_for_user(board, session, "slow")
    for session in sessions:
        session.close()


@pytest.mark.parametrize("query, told", [("", False), ("&enableErrors=true", True)])
def test_a_refused_token_ends_the_session(board, query, told):
    session = RawWebSocket(board.port, "/events?token=alice" + query)
    renew(session, "bad")
    if told:
        event = json.loads(session.message()[1])
        assert event["type"] == "error"
        assert event["entity"]["code"] == 401
        assert event["entity"]["title"] == "Unauthorized"
    opcode, payload = session.message()
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xf0")
    session.close()


def test_a_server_ends_while_a_token_is_looked_at(board):
    board.hold.write_text("")
    session = RawWebSocket(board.port, "/events?token=alice")
    renew(session, "slow")
    session.send(PING, b"read")
    assert session.receive()[3] == b"read"
    board.signal()
    board.hold.unlink()
    assert session.close_code() == 1001


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
@pytest.mark.parametrize(
    "path, status",
    [
        ("/events", 401),
        ("/events?token=bad", 401),
        ("/events?token=quotes", 401),
        ("/events?token=alice&forbidden", 403),
    ],
)
def test_a_refusal_by_a_handler_is_short_and_in_the_client_s_encoding(
    board, encoding, path, status
):
    with pytest.raises(Refused) as refused:
        RawWebSocket(board.port, path, {"Accept": encoding, "Content-Type": encoding})
    answer = refused.value
    assert answer.status == status
    assert len(answer.body) < 1024
    assert answer.headers["content-type"].startswith(encoding)
    (error,) = json.loads(answer.body) if encoding == JSON else msgpack.unpackb(answer.body)
    assert error["code"] == status
    assert error["description"]
    assert "\ufffd" not in error["description"]
