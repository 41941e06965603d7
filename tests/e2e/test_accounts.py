"""Users with passwords: the routes, what their tokens open, and what ends with them."""

import json
import os
import sqlite3
import struct
import threading
import time

import pytest
import requests

from deadline import eventually
from rawws import CLOSE, TEXT, RawWebSocket, Refused

# The cheapest hash there is.
CHEAP = ("--account-hash-passes", "1", "--account-hash-kib", "8192")
MEMORY = ("--accounts", "memory", *CHEAP)


def call(node, what, token=None, **members):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return node.request("POST", f"/v1/accounts/{what}", json=members, headers=headers)


def register(node, name, password="correct horse"):
    answer = call(node, "register", name=name, password=password)
    assert answer.status_code == 201, answer.text
    return answer.json()


def login(node, name, password="correct horse"):
    answer = call(node, "login", name=name, password=password)
    assert answer.status_code == 200, answer.text
    return answer.json()["token"]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class Client:
    """Of the native protocol."""

    def __init__(self, node, token=None):
        self.ws = RawWebSocket(node.port, "/connect", bearer(token) if token else {})
        self.welcome = self.hear()

    def send(self, kind, **data):
        self.ws.send(TEXT, json.dumps({"type": kind, "id": 1, "data": data}).encode())

    def hear(self):
        opcode, payload = self.ws.message()
        return struct.unpack(">H", payload[:2])[0] if opcode == CLOSE else json.loads(payload)

    def ends(self):
        """Hears up to the close; its code."""
        while True:
            message = self.hear()
            if isinstance(message, int):
                return message


def test_register_login_check_logout(serve):
    node = serve(*MEMORY)
    made = register(node, "ann")
    assert (made["id"], made["name"]) == (1, "ann")
    assert made["expires"] > time.time() * 1000
    answer = call(node, "check", made["token"])
    assert answer.status_code == 200
    assert answer.json() == {"id": 1, "name": "ann", "expires": made["expires"]}
    assert answer.headers["Cache-Control"] == "no-store"
    second = login(node, "ANN")
    in_body = node.request("POST", "/v1/accounts/check", json={"token": second})
    assert in_body.json()["name"] == "ann"
    assert call(node, "logout", second).status_code == 204
    assert call(node, "logout", second).status_code == 401
    assert call(node, "check", second).status_code == 401
    assert call(node, "check", made["token"]).status_code == 200


@pytest.mark.parametrize(
    "what, members, status",
    [
        ("register", {}, 400),
        ("register", {"name": "bob"}, 400),
        ("register", {"name": "bob", "password": "short"}, 400),
        ("register", {"name": "bob", "password": "p" * 1025}, 400),
        ("register", {"name": " bob", "password": "password"}, 400),
        ("register", {"name": "b\0b", "password": "password"}, 400),
        ("register", {"name": 7, "password": "password"}, 400),
        ("register", {"name": "ann", "password": "password"}, 409),
        ("register", {"name": "Ann", "password": "password"}, 409),
        ("login", {"name": "ann"}, 400),
        ("login", {"name": "ann", "password": "a wrong one"}, 401),
        ("login", {"name": "nobody", "password": "a wrong one"}, 401),
        ("check", {}, 401),
        ("logout", {}, 401),
        ("password", {"password": "correct horse", "newPassword": "password"}, 401),
    ],
)
def test_statuses_are_true(shared, what, members, status):
    answer = call(shared, what, **members)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


@pytest.fixture(scope="module")
def shared():
    from programs import Node

    node = Node(*MEMORY, "--account-limit-failures", "1000")
    register(node, "ann")
    yield node
    node.stop()


def test_bodies_that_are_no_json_are_refused(shared):
    for what in ("register", "login"):
        answer = shared.request("POST", f"/v1/accounts/{what}", data=b"name=ann")
        assert answer.status_code == 400, answer.text
    assert shared.request("GET", "/v1/accounts/login").status_code == 405


def test_tokens_open_rest_and_websockets(serve):
    node = serve(*MEMORY, "--gateway")
    token = register(node, "ann")["token"]
    assert node.request("GET", "/tasks").status_code == 401
    assert node.request("GET", "/tasks", headers=bearer("A" * 43)).status_code == 401
    assert node.request("GET", "/tasks", headers=bearer(token)).status_code == 200
    client = Client(node, token)
    assert client.welcome["data"]["user"] == "ann"
    with pytest.raises(Refused) as refusal:
        RawWebSocket(node.port, "/events")
    assert refusal.value.status == 401
    RawWebSocket(node.port, f"/events?token={token}")


def test_tokens_stand_beside_those_of_a_file(serve, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("listed sub=bob\n")
    node = serve(*MEMORY, "--auth-tokens", str(tokens))
    token = register(node, "ann")["token"]
    for good in (token, "listed"):
        assert node.request("GET", "/tasks", headers=bearer(good)).status_code == 200
    assert node.request("GET", "/tasks", headers=bearer("other")).status_code == 401


def test_logout_ends_the_sessions_of_its_token_alone(serve):
    node = serve(*MEMORY, "--gateway", "--print-counters")
    one, two = register(node, "ann")["token"], login(node, "ann")
    connected, events = Client(node, one), RawWebSocket(node.port, "/events", bearer(one))
    other = Client(node, two)
    late = Client(node)
    late.send("AUTH", token=one)
    assert late.hear()["type"] == "OK"
    assert call(node, "logout", one).status_code == 204
    assert connected.ends() == 4401
    assert late.ends() == 4401
    assert events.close_code() == 1008
    other.send("PING")
    assert other.hear()["type"] == "PONG"
    counters = node.counters()
    assert counters["accounts_sessions_ended_total"] == 3
    assert counters["accounts_logouts_total"] == 1


def test_one_login_ends_the_others_sessions(serve):
    node = serve(*MEMORY, "--gateway", "--account-one-login")
    client = Client(node, register(node, "ann")["token"])
    token = login(node, "ann")
    assert client.ends() == 4401
    assert Client(node, token).welcome["data"]["user"] == "ann"


def test_a_new_password_ends_the_other_tokens(serve):
    node = serve(*MEMORY)
    one, two = register(node, "ann")["token"], login(node, "ann")
    wrong = call(node, "password", two, password="a wrong one", newPassword="new password")
    assert wrong.status_code == 401
    assert call(node, "password", two, password="correct horse", newPassword="x").status_code == 400
    good = call(node, "password", two, password="correct horse", newPassword="new password")
    assert good.status_code == 204
    assert call(node, "check", one).status_code == 401
    assert call(node, "check", two).status_code == 200
    assert call(node, "login", name="ann", password="correct horse").status_code == 401
    login(node, "ann", "new password")


def test_guesses_are_slowed_down_but_lock_out_nobody_else(serve):
    node = serve(*MEMORY, "--account-limit-failures", "3", "--trusted-proxy", "127.0.0.1")
    register(node, "ann")

    def guess(address, password, name="ann"):
        return node.request(
            "POST",
            "/v1/accounts/login",
            json={"name": name, "password": password},
            headers={"X-Forwarded-For": address},
        )

    for _ in range(3):
        assert guess("198.51.100.7", "a wrong one").status_code == 401
    limited = guess("198.51.100.7", "correct horse")
    assert limited.status_code == 429
    assert 1 <= int(limited.headers["Retry-After"]) <= 60
    assert guess("203.0.113.9", "correct horse").status_code == 200
    # A name that is not there looks the same.
    for _ in range(3):
        assert guess("198.51.100.8", "a wrong one", "nobody").status_code == 401
    assert guess("198.51.100.8", "a wrong one", "nobody").status_code == 429


def test_hashes_at_once_are_bounded(serve):
    node = serve(
        "--accounts", "memory", "--account-hashes", "1", "--account-hashes-waiting", "1",
        "--account-hash-kib", "262144", "--account-limit-failures", "1000", "--print-counters",
    )
    statuses = []

    def guess():
        answer = requests.post(
            f"{node.url}/v1/accounts/login",
            json={"name": "ann", "password": "a wrong one"},
            timeout=60,
        )
        statuses.append((answer.status_code, answer.headers.get("Retry-After")))

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in statuses} == {401, 503}
    assert all(after == "1" for status, after in statuses if status == 503)
    busy = sum(status == 503 for status, _ in statuses)
    assert node.counters()["accounts_busy_total"] == busy


def test_a_file_outlives_the_node(serve, tmp_path):
    path = str(tmp_path / "accounts.db")
    flags = ("--accounts", f"sqlite:{path}", *CHEAP)
    node = serve(*flags)
    token = register(node, "ann")["token"]
    node.stop()
    node = serve(*flags)
    assert call(node, "check", token).status_code == 200
    login(node, "ann")
    node.stop()
    assert os.stat(path).st_mode & 0o777 == 0o600
    content = open(path, "rb").read()
    assert b"$argon2id$" in content
    assert b"correct horse" not in content and token.encode() not in content
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(AssertionError, match="later kujata"):
        serve(*flags)


def test_a_logout_on_one_node_holds_on_another_with_the_same_file(serve, tmp_path):
    flags = ("--accounts", f"sqlite:{tmp_path / 'accounts.db'}", *CHEAP)
    here, there = serve(*flags), serve(*flags)
    token = register(here, "ann")["token"]
    assert call(there, "check", token).status_code == 200
    assert call(there, "logout", token).status_code == 204
    assert call(here, "check", token).status_code == 401


def test_sessions_end_with_their_token(serve):
    node = serve(*MEMORY, "--gateway", "--account-token-s", "4")
    client = Client(node, register(node, "ann")["token"])
    assert client.ends() == 4401


def test_nobody_registers_where_that_is_closed(serve):
    node = serve(*MEMORY, "--account-closed")
    assert call(node, "register", name="ann", password="password").status_code == 403
    bounded = serve(*MEMORY, "--account-limit", "1")
    register(bounded, "ann")
    assert call(bounded, "register", name="bob", password="password").status_code == 403
    assert "--account-limit" in bounded.stderr()


def test_registrations_of_an_address_are_limited(serve):
    node = serve(*MEMORY, "--account-limit-registrations", "2")
    register(node, "ann")
    register(node, "bob")
    answer = call(node, "register", name="cid", password="password")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1


def test_bad_settings_are_told(serve):
    for flags, text in (
        (("--accounts", "file"), "neither memory nor sqlite:PATH"),
        (("--accounts", "sqlite:/no/such/folder/accounts"), "cannot be opened: No such file"),
        (("--accounts", "memory", "--allow-all"), "--allow-all"),
    ):
        with pytest.raises(AssertionError, match=text):
            serve(*flags)


def test_accounts_are_authentication_enough_for_any_address(serve):
    node = serve(*MEMORY, listen="0.0.0.0:0")
    eventually(lambda: call_status(node) == 401, what="an answer")


def call_status(node):
    return requests.get(f"http://127.0.0.1:{node.port}/tasks", timeout=30).status_code
