"""The profile healing: what healing2021's page does, against the program."""

import concurrent.futures
import datetime
import json
import re
import struct

import pytest

from api import Api, api_flags
from deadline import eventually
from programs import KUJATA, MODEL, Node
from rawws import BINARY, CLOSE, TEXT, RawWebSocket, Refused

HEALING = ("--profile", "healing", "--user-cookie", "uid")


class Page:
    """Does what the page's WebSocket module does; `user` is what its cookie says."""

    def __init__(self, node, user, greeted=True, headers=None, path="/api/ws"):
        headers = {"Cookie": f"theme=dark; uid={user}", **(headers or {})}
        self.user = user
        self.ws = RawWebSocket(node.port, path, headers)
        self.waiting = self.until("Hello, ws!") if greeted else []

    def hear(self):
        opcode, payload = self.ws.message()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    def until(self, word):
        """The messages before a word."""
        messages = []
        while (heard := self.hear()) != word:
            messages.append(json.loads(heard))
        return messages

    def say(self, text):
        self.ws.send(TEXT, text.encode())

    def beat(self):
        """What was heard before the heartbeat came back."""
        self.say("heartbeat")
        return self.until("heartbeat")

    def send(self, to, message, **more):
        content = {"fromUser": self.user, "toUser": to, "message": message, **more}
        self.say(json.dumps(content, ensure_ascii=False, separators=(",", ":")))

    def messages(self):
        """Those heard up to now, without the answers."""
        self.say("heartbeat")
        messages = []
        while (heard := self.hear()) != "heartbeat":
            messages += [json.loads(heard)] if heard.startswith("{") else []
        return messages

    def ask(self, to, message, **more):
        """The answer to a message."""
        self.send(to, message, **more)
        while (heard := self.hear()).startswith("{"):
            pass
        return heard

    def message(self):
        return json.loads(self.hear())

    def close(self):
        self.ws.close()

    def leave(self):
        """The server knows that it is gone."""
        self.ws.send(CLOSE, struct.pack(">H", 1000))
        assert closed_with(self) == 1000
        self.close()


def closed_with(page):
    while True:
        opcode, payload = page.ws.message()
        if opcode == CLOSE:
            return struct.unpack(">H", payload[:2])[0]


@pytest.fixture
def healing(serve):
    return lambda *flags, **options: serve(*HEALING, *flags, **options)


@pytest.fixture
def keeping(healing, tmp_path):
    """A node that keeps messages in a file, and others on the same one."""
    return lambda *flags: healing("--messages", f"sqlite:{tmp_path}/messages.db", *flags)


# ---- one page ----


def test_a_page_is_greeted_and_its_heartbeat_comes_back(healing):
    page = Page(healing(), 12, greeted=False)
    assert page.hear() == "Hello, ws!"
    for _ in range(3):
        page.say("heartbeat")
        assert page.hear() == "heartbeat"


def test_who_has_no_good_cookie_is_not_let_in(healing):
    node = healing("--print-counters")
    for cookie in ("", "uid=", "uid=0", "uid=-3", "uid=07", "uid=anna", "uid=" + "9" * 20, "other=3"):
        with pytest.raises(Refused) as refused:
            RawWebSocket(node.port, "/api/ws", {"Cookie": cookie})
        assert refused.value.status == 401
        assert b"fail to authenticate" in refused.value.body
    assert node.counters()["healing_strangers_total"] == 8


def test_messages_have_what_the_page_shows(healing):
    node = healing()
    ann, bob = Page(node, 12), Page(node, 34)
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    assert ann.ask(34, "你好 %%system%% \" \\ \u0000") == "ok"
    message = bob.message()
    time = datetime.datetime.fromisoformat(message.pop("time"))
    assert before < time < before + datetime.timedelta(seconds=60)
    assert re.fullmatch(r"[0-9a-f]{16}", message.pop("id"))
    assert message == {
        **{"fromUser": 12, "toUser": 34, "fromUserName": "12", "toUserName": "34"},
        **{"user": "", "song": "", "songId": 0, "message": "你好 %%system%% \" \\ \u0000"},
        "isSend": 0,
    }
    assert ann.beat() == []


def test_times_are_what_the_page_takes_apart(healing):
    node = healing()
    ann = Page(node, 12)
    ann.send(12, "to myself")
    heard = {ann.hear(), ann.hear()} - {"ok"}
    date, time, *_ = re.split(r"[T+.]", json.loads(heard.pop())["time"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", date) and re.fullmatch(r"\d\d:\d\d:\d\d", time)


@pytest.mark.parametrize(
    "message",
    [
        {"fromUser": 13, "toUser": 34, "message": "not me"},
        {"fromUser": 12, "toUser": 0, "message": "hi"},
        {"fromUser": 12, "toUser": -34, "message": "hi"},
        {"fromUser": 12, "toUser": 34, "message": ""},
        {"fromUser": 12, "toUser": 34, "message": 7},
        {"fromUser": "12", "toUser": 34, "message": "hi"},
        {"fromUser": 12, "toUser": 34.5, "message": "hi"},
        {"fromUser": 12, "toUser": 34},
        {"fromUser": 12, "toUser": 34, "message": "hi", "song": 7},
        [],
        7,
    ],
)
def test_what_is_no_message_is_answered(healing, message):
    node = healing("--print-counters")
    ann, bob = Page(node, 12), Page(node, 34)
    ann.say(json.dumps(message))
    assert ann.hear() == "error format"
    assert bob.beat() == []
    counters = node.counters()
    assert counters["gateway_requests_refused_total"] == 1
    assert counters["healing_messages_refused_total"] == 1
    assert counters["healing_messages_total"] == 0


def test_what_is_passed_over_there_is_counted_here(healing):
    node = healing("--print-counters")
    ann = Page(node, 12)
    ann.say("no JSON")
    ann.say("heartbeat ")
    ann.ws.send(BINARY, b"heartbeat")
    assert ann.beat() == []
    assert node.counters()["gateway_requests_refused_total"] == 3


# ---- one connection for each user ----


def test_the_newer_connection_of_a_user_wins_and_stays(healing):
    node = healing()
    bob = Page(node, 34)
    older = Page(node, 12)
    for number in range(20):
        newer = Page(node, 12)
        assert closed_with(older) == 4409
        older.close()
        assert bob.ask(12, f"message {number}") == "ok"
        assert newer.message()["message"] == f"message {number}"
        assert newer.ask(34, "answer") == "ok"
        assert bob.message()["message"] == "answer"
        older = newer


def test_connects_at_the_same_moment_never_exchange_identities(healing):
    node = healing()

    def meet(user):
        pages = [Page(node, user) for _ in range(2)]
        page = pages[-1]
        assert page.ask(user, f"I am {user}") in ("ok", "receiver is offline")
        return user, page

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        pages = dict(pool.map(meet, range(1, 161)))
    for user, page in pages.items():
        to = user % 160 + 1
        page.send(to, f"{user} to {to}")
    for user, page in pages.items():
        sender = (user - 2) % 160 + 1
        while (heard := page.hear()) == "ok" or "I am" in heard:
            pass
        message = json.loads(heard)
        assert (message["fromUser"], message["message"]) == (sender, f"{sender} to {user}")
        assert page.messages() == []


# ---- who is away ----


def test_without_a_store_who_is_away_misses_it_and_the_sender_is_told(healing):
    node = healing("--print-counters")
    ann = Page(node, 12)
    assert ann.ask(34, "are you there?") == "receiver is offline"
    assert Page(node, 34).waiting == []
    answer = node.request("GET", "/api/ws/history", headers={"Cookie": "uid=34"})
    assert answer.json() == {"sys": [], "usr": [], "more": False}
    assert node.counters()["healing_messages_offline_total"] == 1


def test_what_was_sent_meanwhile_comes_at_login_once_and_before_the_greeting(keeping):
    node = keeping()
    ann = Page(node, 12)
    for number in range(250):  # some pages
        assert ann.ask(34, str(number)) == "ok"
    bob = Page(node, 34)
    assert [m["message"] for m in bob.waiting] == [str(number) for number in range(250)]
    assert all(m["isSend"] == 0 and m["fromUser"] == 12 for m in bob.waiting)
    assert ann.ask(34, "now") == "ok"
    assert bob.message()["message"] == "now"
    bob.close()
    again = Page(node, 34)
    assert again.waiting == [] and again.beat() == []


def test_reconnects_lose_nothing_and_double_nothing(keeping):
    node = keeping()
    ann = Page(node, 12)
    heard = []
    bob = Page(node, 34)
    for number in range(60):
        assert ann.ask(34, str(number)) == "ok"
        if number % 6 == 2:  # gone before the next is sent
            while len(heard) <= number:
                heard += bob.beat()
            bob.leave()
        if number % 6 == 5:
            bob = Page(node, 34)
            heard += bob.waiting
    while len(heard) < 60:
        heard += bob.beat()
    assert [m["message"] for m in heard] == [str(number) for number in range(60)]
    assert len({m["id"] for m in heard}) == 60


def test_a_login_among_messages_loses_none(keeping):
    node = keeping()
    ann = Page(node, 12)
    sent = 0
    heard = {}
    for _ in range(10):
        for _ in range(30):
            ann.send(34, str(sent))
            sent += 1
        bob = Page(node, 34)  # while they are on their way
        for _ in range(30):
            assert ann.hear() == "ok"
        heard.update({m["id"]: m["message"] for m in bob.waiting})
        while len(heard) < sent:
            heard.update({m["id"]: m["message"] for m in bob.beat()})
        bob.leave()
    assert sorted(map(int, heard.values())) == list(range(sent))
    assert Page(node, 34).waiting == []


def test_what_waits_outlives_a_kill(keeping, tmp_path):
    flags = (*HEALING, "--messages", f"sqlite:{tmp_path}/messages.db")
    node = Node(*flags)
    ann = Page(node, 12)
    for number in range(20):
        assert ann.ask(34, str(number)) == "ok"
    node.process.kill()
    node.wait()
    node = keeping()
    assert [m["message"] for m in Page(node, 34).waiting] == [str(number) for number in range(20)]
    assert Page(node, 34).waiting == []


def test_what_cannot_be_kept_is_answered_so_and_reaches_nobody(healing, tmp_path):
    node = healing("--messages", f"sqlite:{tmp_path}/m.db", "--messages-max-megabytes", "1")
    ann, bob = Page(node, 12), Page(node, 34)
    text = "x" * 60000
    answers = []
    while not answers or answers[-1] == "ok":
        answers.append(ann.ask(34, text))
        assert len(answers) < 200
    assert answers[-1] == "Fail to storage data"
    heard = []
    while len(heard) < len(answers) - 1:
        heard += bob.beat()
    ann.ask(12, "")  # behind what would have been published
    assert bob.beat() == [] and len(heard) == len(answers) - 1


# ---- the history ----


def history(node, user, status=200, **how):
    headers = {"Cookie": f"uid={user}", **how.pop("headers", {})}
    answer = node.request("GET", "/api/ws/history", headers=headers, **how)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_history_is_what_was_sent_to_the_user_the_newest_first(keeping):
    node = keeping()
    ann, bob, eve = Page(node, 12), Page(node, 34), Page(node, 56)
    assert ann.ask(34, "one") == "ok"
    assert eve.ask(34, "two") == "ok"
    live = [bob.message(), bob.message()]
    assert bob.ask(12, "three") == "ok"
    shown = history(node, 34)
    assert [m["message"] for m in shown["usr"]] == ["two", "one"]
    assert shown["sys"] == [] and shown["more"] is False
    assert all(m["isSend"] == 1 and m["toUser"] == 34 for m in shown["usr"])
    assert shown["usr"] == [{**message, "isSend": 1} for message in live[::-1]]
    assert [m["message"] for m in history(node, 12)["usr"]] == ["three"]
    assert history(node, 78) == {"sys": [], "usr": [], "more": False}


def test_a_history_has_pages(keeping):
    node = keeping()
    ann = Page(node, 12)
    for number in range(7):
        assert ann.ask(34, str(number)) == "ok"
    found, before = [], {}
    while True:
        page = history(node, 34, params={"max": 3, **before})
        found += [m["message"] for m in page["usr"]]
        if not page["more"]:
            break
        before = {"before": page["usr"][-1]["id"]}
    assert found == [str(number) for number in range(7)][::-1]
    for bad in ({"max": 0}, {"max": 1001}, {"before": "x"}, {"before": ""}, {"max": "3 "}, {"max": "-1"}):
        assert "message" in history(node, 34, status=400, params=bad)


def test_a_history_is_for_its_user_alone(keeping):
    node = keeping()
    assert history(node, "nobody", status=401) == {"message": "fail to authenticate"}
    foreign = {"Origin": "https://elsewhere.example"}
    assert history(node, 34, status=401, headers=foreign) == {"message": "fail to authenticate"}


# ---- business code ----


@pytest.mark.parametrize("keeps", [False, True])
def test_servers_send_for_users_and_for_the_system(healing, tmp_path, keeps):
    store = ("--messages", "memory") if keeps else ()
    node = healing(*api_flags(), *store)
    api = Api(node)
    bob = Page(node, 34)
    song = {"user": "https://a/b.mp3", "song": "晴天", "songId": 7}
    sung = {"fromUser": 12, "toUser": 34, "message": "for you", **song}
    assert api.post("/api/ws/message", json=sung).json() == {"message": "ok"}
    message = bob.message()
    assert {name: message[name] for name in sung} == sung
    liked = {"uid": 34, "type": 2, "contentId": 7, "song": "", "fromUser": "anna"}
    assert api.post("/api/ws/system", json=liked).json() == {"message": "ok"}
    message = bob.message()
    assert {name: message[name] for name in liked} == liked
    assert message["isSend"] == 0 and message["time"] and "fromUserName" not in message
    away = api.post("/api/ws/system", json={"uid": 56, "type": 6})
    assert away.status_code == 200
    assert away.json() == {"message": "ok" if keeps else "receiver is offline"}
    assert [m["type"] for m in Page(node, 56).waiting] == ([6] if keeps else [])
    if keeps:
        shown = history(node, 34)
        assert [m["type"] for m in shown["sys"]] == [2]
        assert [m["songId"] for m in shown["usr"]] == [7]
    for path, bad in (("message", {"toUser": 34}), ("system", {"type": 1}), ("system", [])):
        assert api.post(f"/api/ws/{path}", json=bad).status_code == 400
    assert api.post("/api/ws/system", data=b"{").status_code == 400
    api.http.headers.pop("Authorization")
    assert api.post("/api/ws/system", json=liked).status_code == 401


# ---- beside others ----


def test_a_token_may_say_who_it_is(serve, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("good sub=12\nnamed sub=anna\n")
    node = serve(
        *("--profile", "healing", "--auth-tokens", str(tokens)),
        *("--auth-cookie", "healing2021_session", "--healing-path", "/ws"),
    )
    page = Page(node, 12, headers={"Cookie": "healing2021_session=good"}, path="/ws")
    page.send(12, "me")
    assert {page.hear() == "ok", page.hear() == "ok"} == {True, False}
    page = Page(node, 12, headers={"Cookie": "healing2021_session=named"}, path="/ws", greeted=False)
    assert closed_with(page) == 4401
    with pytest.raises(Refused) as refused:
        Page(node, 12, path="/ws")
    assert refused.value.status == 401


def test_users_on_two_nodes_write_to_each_other(healing, broker):
    nodes = [healing("--pubsub", broker.url) for _ in range(2)]
    ann, bob = Page(nodes[0], 12), Page(nodes[1], 34)

    def arrives():  # until the nodes know of each other, he seems to be nowhere
        return ann.ask(34, "there?") == "ok" and bob.beat()

    eventually(arrives, what="the broker knows of bob")
    for number in range(50):
        ann.send(34, str(number))
    heard = []
    while len(heard) < 50:
        heard += [m["message"] for m in bob.beat() if m["message"] != "there?"]
    assert heard == [str(number) for number in range(50)]


def test_who_is_on_another_node_has_no_mail_on_this_one(healing, broker, tmp_path):
    nodes = [
        healing("--pubsub", broker.url, "--messages", f"sqlite:{tmp_path}/{name}.db", *api_flags())
        for name in "ab"
    ]
    api = Api(nodes[0])
    ann, bob = Page(nodes[0], 12), Page(nodes[1], 34)

    def arrives():
        assert ann.ask(34, "there?") == "ok"
        return bob.beat()

    def knows_the_other():
        return api.get("/v1/stats").json()["counters"]["presence_nodes_current"] == 2

    eventually(arrives, what="the broker knows of bob")
    eventually(knows_the_other, what="the sender's node knows whom to ask")
    for number in range(20):
        assert ann.ask(34, str(number)) == "ok"
    heard = []
    while len(heard) < 20:
        heard += [m["message"] for m in bob.beat() if m["message"] != "there?"]
    assert heard == [str(number) for number in range(20)]
    bob.leave()
    assert [m for m in Page(nodes[0], 34).waiting if m["message"] != "there?"] == []


def test_users_may_be_those_of_accounts(serve):
    node = serve("--profile", "healing", "--accounts", "memory", "--healing-cookie", "token")

    def register(name):
        account = {"name": name, "password": "correct horse"}
        answer = node.request("POST", "/v1/accounts/register", json=account)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"], {"Cookie": "token=" + answer.json()["token"]}

    (ann_id, ann_cookie), (bob_id, bob_cookie) = register("ann"), register("bob 歌")
    ann, bob = Page(node, ann_id, headers=ann_cookie), Page(node, bob_id, headers=bob_cookie)
    assert ann.ask(bob_id, "hi") == "ok"
    message = bob.message()
    assert (message["fromUserName"], message["toUserName"]) == ("ann", "bob 歌")
    assert ann.ask(max(ann_id, bob_id) + 1, "hi") == "receiver is not exist"
    answer = node.request("GET", "/api/ws/history", headers=bob_cookie)
    assert answer.status_code == 200
    for cookie in ({"Cookie": f"token={ann_id}"}, {"Cookie": "uid=1"}):
        with pytest.raises(Refused) as refused:
            Page(node, ann_id, headers=cookie)
        assert refused.value.status == 401


def test_a_page_ends_with_its_token(serve):
    node = serve(
        *("--profile", "healing", "--accounts", "memory", "--healing-cookie", "token"),
        *("--account-hash-passes", "1", "--account-hash-kib", "8192"),
        *("--account-token-s", "4", "--print-counters"),
    )
    account = {"name": "ann", "password": "correct horse"}
    given = node.request("POST", "/v1/accounts/register", json=account).json()
    page = Page(node, given["id"], headers={"Cookie": f"token={given['token']}"})
    answer = node.request("POST", "/v1/accounts/logout", json={"token": given["token"]})
    assert answer.status_code == 204
    assert closed_with(page) == 4401
    given = node.request("POST", "/v1/accounts/login", json=account).json()
    page = Page(node, given["id"], headers={"Cookie": f"token={given['token']}"})
    assert closed_with(page) == 4401  # it has run out
    assert node.counters()["accounts_sessions_ended_total"] == 1


@pytest.mark.parametrize(
    "flags, named",
    [
        (("--healing-cookie", "token"), "--accounts"),
        (("--healing-cookie", "token", "--user-cookie", "uid", "--accounts", "memory"), "--user-cookie"),
    ],
)
def test_cookies_that_say_nobody_are_refused(start, flags, named):
    program = start(KUJATA, "serve", "--model", MODEL, "--profile", "healing", *flags)
    assert program.wait() == 2
    assert named in program.stderr()


def test_somebody_must_say_who_clients_are(start):
    program = start(KUJATA, "serve", "--model", MODEL, "--profile", "healing")
    assert program.wait() == 2
    assert "--user-cookie" in program.stderr()
