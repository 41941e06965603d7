"""The profile go-push: what its page, its load client and its callers do, against the program."""

import contextlib
import json
import struct
import urllib.parse

import pytest

from api import Api, api_flags
from deadline import eventually
from programs import KUJATA, MODEL
from rawws import BINARY, CLOSE, TEXT, RawWebSocket, Refused

ROOM = "默认房间"  # the page's own
PONG = b'{"type":"PONG","data":{}}'


class Page:
    """Does what the buttons of go-push's page do, with JSON as a browser writes it."""

    def __init__(self, node, path="/connect", **how):
        self.ws = RawWebSocket(node.port, path, **how)

    def send(self, type, **data):
        message = {"type": type, "data": data}
        self.ws.send(TEXT, json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())

    def hear(self):
        opcode, payload = self.ws.message()
        assert opcode == TEXT, (opcode, payload)
        return payload

    def ping(self):
        """Nothing was waiting before the PONG."""
        self.send("PING")
        assert self.hear() == PONG

    def join(self, room=ROOM):
        self.send("JOIN", room=room)
        self.ping()

    def leave(self, room=ROOM):
        self.send("LEAVE", room=room)
        self.ping()

    def items(self):
        message = json.loads(self.hear())
        assert list(message) == ["type", "data"]
        assert message["type"] == "PUSH" and list(message["data"]) == ["items"]
        return message["data"]["items"]

    def items_until(self, count):
        """That many, and the sizes of the frames they came in."""
        items, sizes = [], []
        while len(items) < count:
            sizes.append(len(self.items_of_next(items)))
        assert len(items) == count
        return items, sizes

    def items_of_next(self, items):
        batch = self.items()
        items += batch
        return batch


@pytest.fixture
def gopush(serve):
    def start(*flags, **options):
        node = serve("--profile", "go-push", "--gateway-open", *api_flags(), *flags, **options)
        node.api = Api(node)
        return node

    return start


def push(node, path, status=200, **form):
    """As Go's http.PostForm and curl --data-urlencode send it."""
    answer = node.api.post(f"/push/{path}", data=form)
    assert (answer.status_code, answer.content) == (status, b"")


def stats(node):
    answer = node.api.get("/stats")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/json")
    return answer.json()


# ---- what the page does ----


def test_the_page_joins_its_room_hears_it_and_leaves(gopush):
    node = gopush()
    page, other = Page(node), Page(node)
    page.join()
    other.join("another room")
    push(node, "room", room=ROOM, items='[{"text":"弹幕"}, 1, "x", null, [true]]')
    assert page.items_until(5)[0] == [{"text": "弹幕"}, 1, "x", None, [True]]
    page.leave()
    push(node, "room", room=ROOM, items="[1]")
    page.ping()
    other.ping()
    push(node, "all", items="[2]")
    assert page.items() == [2] and other.items() == [2]
    page.ws.close()
    eventually(lambda: stats(node)["onlineConnections"] == 1, what="the page's close")


def test_a_page_of_another_origin_is_let_in_where_that_is_allowed(gopush):
    node = gopush()
    for origin in ("null", "http://localhost:8000"):
        with pytest.raises(Refused) as refused:
            Page(node, headers={"Origin": origin})
        assert refused.value.status == 403
    node = gopush("--allow-origin", "*")
    Page(node, headers={"Origin": "http://localhost:8000"}).ping()


def test_messages_that_close_a_client_there_close_it_with_a_code_here(gopush):
    node = gopush("--print-counters")
    for bad in (b"{", b'{"type":"JOIN","data":{"room":""}}', b'{"type":"LEAVE","data":1}'):
        page = Page(node)
        page.ws.send(TEXT, bad)
        opcode, payload = page.ws.message()
        assert opcode == CLOSE and struct.unpack(">H", payload[:2]) == (4400,) and payload[2:]
    page = Page(node)
    page.ws.send(BINARY, b"\x00")
    page.send("DANCE")
    page.send("LEAVE", room="never joined")
    for number in range(6):  # one more than a client may be in
        page.send("JOIN", room=str(number))
    page.ping()
    page.ws.send(TEXT, b'"%s"' % (b"x" * 70000))
    assert page.ws.close_code() == 1009
    counters = node.counters()
    assert counters["gateway_requests_refused_total"] == 3 + 4
    assert counters["gateway_joins_over_limit_total"] == 1


# ---- what the load client does ----


def test_load_clients_dial_read_and_dial_again(gopush):
    node = gopush("--gateway-batch-ms", "1")
    headers = {"User-Agent": "Go-http-client/1.1"}
    clients = [Page(node, headers=headers) for _ in range(300)]
    eventually(lambda: stats(node)["onlineConnections"] == 300, what="300 clients")
    for number in range(20):
        push(node, "all", items=json.dumps([number]))
    for client in clients:
        assert client.items_until(20)[0] == list(range(20))
    for client in clients[:100]:
        client.ws.close()
    again = [Page(node, headers=headers) for _ in range(100)]
    eventually(lambda: stats(node)["onlineConnections"] == 300, what="they are there again")
    push(node, "all", items='["once more"]')
    for client in clients[100:] + again:
        assert client.items() == ["once more"]


# ---- batches ----


def test_the_first_goes_out_at_once_and_the_rest_in_hundreds(gopush):
    node = gopush()
    page = Page(node)
    page.join()
    push(node, "room", room=ROOM, items=json.dumps(list(range(250))))
    items, sizes = page.items_until(250)
    assert items == list(range(250))
    assert sizes == [1, 100, 100, 49]


def test_batches_are_as_large_as_was_said_also_of_pushes_to_all(gopush):
    node = gopush("--gopush-batch-items", "10", "--gopush-path", "/ws")
    page = Page(node, "/ws")
    page.ping()
    for number in range(21):
        push(node, "all", items=json.dumps([number]))
    items, sizes = page.items_until(21)
    assert items == list(range(21))
    assert sizes == [1, 10, 10]


def test_what_waits_for_its_batch_goes_out_when_the_node_stops(gopush):
    node = gopush("--gateway-batch-ms", "600000")
    page = Page(node)
    page.join()
    push(node, "room", room=ROOM, items='["first"]')
    push(node, "all", items='["first"]')
    assert page.items_until(2)[0] == ["first"] * 2
    push(node, "room", room=ROOM, items="[1, 2]")
    push(node, "all", items="[3]")
    node.stop()
    assert sorted(page.items_until(3)[0]) == [1, 2, 3]
    assert page.ws.close_code() == 1001


@pytest.mark.parametrize("batch_ms", ["1", "20"])
def test_numbered_items_arrive_in_order_on_two_nodes(gopush, broker, batch_ms):
    flags = ("--pubsub", broker.url, "--gateway-batch-ms", batch_ms)
    nodes = [gopush(*flags), gopush(*flags)]
    pages = [Page(node) for node in nodes for _ in range(5)]
    for page in pages:
        page.join()
    # The broker knows of both nodes once each has heard the other.
    for node in nodes:
        push(node, "room", room=ROOM, items='["there"]')
    for page in pages:
        assert page.items_until(2)[0] == ["there"] * 2
    for number in range(0, 400, 8):
        push(nodes[0], "room", room=ROOM, items=json.dumps(list(range(number, number + 8))))
    for page in pages:
        assert page.items_until(400)[0] == list(range(400))


# ---- the forms ----


def test_a_session_is_pushed_to_by_what_it_was_told(gopush):
    node = gopush("--gopush-welcome", "--print-counters")
    page, other = Page(node), Page(node)
    welcome = json.loads(page.hear())
    other.hear()
    session = welcome["data"]["session"]
    assert welcome == {"type": "WELCOME", "data": {"session": session}}
    high, low = session.split("-")
    push(node, "conn", conn=session, items="[1,2]")
    assert [page.items(), page.items()] == [[1], [2]]  # nothing waits
    push(node, "conn", conn=f"{high}-{int(low, 16) + 100:x}", items="[3]")
    push(node, "conn", conn=str(2**64 - 1), items="[4]")
    push(node, "conn", conn="nobody", items="[5]")
    page.ping()
    other.ping()
    counters = node.counters()
    assert counters["gopush_session_items_total"] == 4
    assert counters["gopush_session_items_failed_total"] == 1  # a session of this node that is gone
    assert counters["gopush_requests_refused_total"] == 1


@pytest.mark.parametrize(
    "path, form",
    [
        ("all", {}),
        ("all", {"items": ""}),
        ("all", {"items": "[1"}),
        ("all", {"items": "{}"}),
        ("all", {"items": "[1] "  "[2]"}),
        ("all", {"items": "[" * 100 + "]" * 100}),
        ("room", {"items": "[1]"}),
        ("room", {"room": "", "items": "[1]"}),
        ("room", {"room": "x" * 129, "items": "[1]"}),
        ("room", {"room": "r", "items": "no JSON"}),
        ("conn", {"items": "[1]"}),
        ("conn", {"conn": "7x", "items": "[1]"}),
    ],
)
def test_a_form_that_says_nothing_is_answered_as_there_and_counted(gopush, path, form):
    node = gopush("--print-counters")
    push(node, path, **form)
    assert f"/push/{path}" in node.stderr()
    counters = node.counters()
    assert counters["gopush_requests_total"] == 1
    assert counters["gopush_requests_refused_total"] == 1
    assert counters["gateway_published_total"] == 0


def test_an_item_that_is_too_large_is_counted_and_the_others_arrive(gopush):
    node = gopush("--print-counters", "--gateway-batch-ms", "1")
    page = Page(node)
    page.ping()
    push(node, "all", items=json.dumps(["first", "x" * (256 * 1024), "last"]))
    assert page.items_until(2)[0] == ["first", "last"]
    assert "too" in node.stderr() or "limit" in node.stderr()
    counters = node.counters()
    assert counters["gopush_all_items_total"] == 3
    assert counters["gopush_all_items_failed_total"] == 1


def test_what_http_itself_refuses_has_a_status(gopush):
    node = gopush("--limit-body-bytes", "1000")
    assert node.api.post("/push/all", data={"items": "x" * 2000}).status_code == 413
    assert node.api.get("/push/all").status_code == 405
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert node.api.post("/push/all", data="items=%zz", headers=headers).status_code == 400


def test_without_the_key_nothing_is_pushed(gopush):
    node = gopush("--print-counters")
    node.api.http.headers.pop("Authorization")
    assert node.api.post("/push/all", data={"items": "[1]"}).status_code == 401
    assert node.counters()["gopush_requests_total"] == 0


def test_callers_of_go_push_have_no_key_and_an_open_api_asks_for_none(serve):
    node = serve("--profile=go-push", "--gateway-open", "--api", "127.0.0.1:0", "--api-open")
    node.api = Api(node, key=None)
    page = Page(node)
    page.ping()
    push(node, "all", items="[1]")
    assert page.items() == [1]


# ---- /stats ----


def test_stats_have_the_names_of_go_pushs_gateway_and_logic(gopush):
    node = gopush()
    page = Page(node)
    page.join()
    push(node, "room", room=ROOM, items="[1,2,3]")
    push(node, "all", items="[4]")
    push(node, "all", items="nothing")
    page.items_until(4)
    shown = stats(node)
    assert sorted(shown) == sorted(
        ["onlineConnections", "sendMessageTotal", "sendMessageFail", "dispatchPending"]
        + ["pushJobPending", "dispatchFail", "roomCount", "mergerPending", "mergerRoomTotal"]
        + ["mergerAllTotal", "mergerRoomFail", "mergerAllFail"]
        + ["DispatchTotal", "DispatchFail", "PushFail"]
    )
    assert shown["onlineConnections"] == 1 and shown["roomCount"] == 1
    assert shown["mergerRoomTotal"] == 3 and shown["mergerAllTotal"] == 1
    assert shown["DispatchTotal"] == 3 and shown["DispatchFail"] == 1 and shown["PushFail"] == 0
    assert shown["sendMessageTotal"] >= 3 and shown["mergerPending"] == 0
    assert not any(shown[name] for name in shown if name.endswith("Fail") and name[0] != "D")


def test_what_waits_for_its_batch_is_pending(gopush):
    node = gopush("--gateway-batch-ms", "600000")
    page = Page(node)
    page.join()
    push(node, "room", room=ROOM, items="[1,2,3]")
    assert page.items() == [1]
    eventually(lambda: stats(node)["mergerPending"] == 2, what="two pending")
    page.send("LEAVE", room=ROOM)
    assert page.items() == [2, 3]
    eventually(lambda: stats(node)["mergerPending"] == 0, what="none pending")


# ---- beside others ----


def test_clients_of_go_push_and_native_ones_meet_in_a_room(serve):
    node = serve(
        *("--profile", "go-push", "--gopush-path", "/gopush"),
        *("--profile", "native", "--gateway-open", "--gateway-path", "/native"),
    )
    page = Page(node, "/gopush")
    page.join("r")
    with contextlib.closing(RawWebSocket(node.port, "/native")) as native:
        native.send(TEXT, b'{"type":"JOIN","data":{"room":"r"}}')
        native.send(TEXT, b'{"type":"SEND","data":{"room":"r","body":{"a":1}}}')
        assert page.items() == [{"a": 1}]
    page.ping()  # and heard nothing of who came and went


def test_two_profiles_at_one_path_are_refused(start):
    program = start(
        *(KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0"),
        *("--profile", "go-push", "--profile", "native", "--gateway-open"),
    )
    assert program.wait() == 2
    (line,) = program.stderr().splitlines()
    assert "/connect" in line and "--gateway-path" in line


def test_without_authenticators_it_must_be_said_to_be_open(start):
    program = start(KUJATA, "serve", "--model", MODEL, "--profile", "go-push")
    assert program.wait() == 2
    assert "--gateway-open" in program.stderr()


def test_a_token_names_the_user(serve, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("secret sub=ann\n")
    node = serve("--profile", "go-push", "--auth-tokens", str(tokens))
    Page(node, "/connect?" + urllib.parse.urlencode({"token": "secret"})).ping()
    with pytest.raises(Refused) as refused:
        Page(node)
    assert refused.value.status == 401
