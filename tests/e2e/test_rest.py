"""CRUD over HTTP in both encodings, by requests and msgpack."""

import json
import socket

import msgpack
import pytest

JSON, MSGPACK = "application/json", "application/msgpack"


def encode(encoding, value):
    if encoding == MSGPACK:
        return msgpack.packb(value)
    return json.dumps(value).encode()


def decode(answer):
    kind = answer.headers["Content-Type"]
    if kind.startswith(MSGPACK):
        return msgpack.unpackb(answer.content, timestamp=3)
    assert kind.startswith(JSON), kind
    return answer.json()


def call(node, method, path, encoding, body=None):
    headers = {"Accept": encoding}
    data = None
    if body is not None:
        headers["Content-Type"] = encoding
        data = encode(encoding, body)
    return node.request(method, path, data=data, headers=headers)


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_an_object_lives_from_create_to_delete(node, encoding):
    made = call(node, "POST", "/tasks", encoding, {"title": "buy milk", "number": 300})
    assert made.status_code == 200
    task = decode(made)
    assert (task["title"], task["number"], task["status"]) == ("buy milk", 300, "open")
    path = f"/tasks/{task['ID']}"

    got = call(node, "GET", path, encoding)
    assert (got.status_code, decode(got)) == (200, task)

    changed = call(node, "PUT", path, encoding, {"title": "buy bread", "status": "closed"})
    assert changed.status_code == 200
    assert decode(changed)["title"] == "buy bread"

    patched = call(node, "PATCH", path, encoding, {"done": True})
    assert patched.status_code == 200
    assert decode(patched)["done"] is True
    assert decode(patched)["title"] == "buy bread"

    assert call(node, "DELETE", path, encoding).status_code in (200, 204)
    gone = call(node, "GET", path, encoding)
    assert gone.status_code == 404
    assert decode(gone)[0]["code"] == 404


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_versioned_and_bare_paths_are_the_same(node, encoding):
    task = decode(call(node, "POST", "/v/1/tasks", encoding, {"title": "a"}))
    assert decode(call(node, "GET", f"/tasks/{task['ID']}", encoding)) == task


def test_children_belong_to_their_parent(node):
    parent = node.create("/lists", name="groceries")
    other = node.create("/lists", name="other")
    child = node.create(f"/lists/{parent['ID']}/tasks", title="eggs")
    assert (child["parentID"], child["parentType"]) == (parent["ID"], "list")

    mine = node.request("GET", f"/lists/{parent['ID']}/tasks")
    assert [task["ID"] for task in mine.json()] == [child["ID"]]
    assert mine.headers["X-Count-Total"] == "1"
    theirs = node.request("GET", f"/lists/{other['ID']}/tasks")
    assert (theirs.status_code, theirs.json()) == (200, [])


def test_pages_follow_the_order_asked_for(node):
    parent = node.create("/lists", name="pages")
    path = f"/lists/{parent['ID']}/tasks"
    for number in (3, 1, 2):
        node.create(path, title="t", number=number)
    first = node.request("GET", path + "?order=number&page=1&pagesize=2")
    assert [task["number"] for task in first.json()] == [1, 2]
    last = node.request("GET", path + "?order=-number&page=2&pagesize=2")
    assert [task["number"] for task in last.json()] == [1]
    assert first.headers["X-Count-Total"] == "3"


def test_head_counts(node):
    parent = node.create("/lists", name="count")
    path = f"/lists/{parent['ID']}/tasks"
    node.create(path, title="a")
    node.create(path, title="b")
    answer = node.request("HEAD", path)
    assert (answer.status_code, answer.headers["X-Count-Total"]) == (204, "2")


def test_times_are_times_in_msgpack(node):
    due = msgpack.Timestamp(1700000000, 500)
    body = msgpack.packb({"title": "t", "due": due})
    headers = {"Content-Type": MSGPACK, "Accept": MSGPACK}
    made = node.request("POST", "/tasks", data=body, headers=headers)
    assert made.status_code == 200, made.content
    assert msgpack.unpackb(made.content)["due"] == due
    again = node.request("GET", "/tasks/" + msgpack.unpackb(made.content)["ID"])
    assert again.json()["due"] == "2023-11-14T22:13:20.0000005Z"


def test_secrets_are_blank_in_answers(node):
    made = node.create("/lists", name="n", password="hunter2")
    assert made["password"] == ""


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("GET", "/tasks/unknown", None, 404),
        ("GET", "/nothing/here/at/all", None, 404),
        ("GET", "/unknowns", None, 405),
        ("POST", "/tasks", {}, 422),
        ("POST", "/tasks", {"title": "t", "status": "odd"}, 422),
        ("GET", "/tasks?nonsense=1", None, 400),
        ("GET", "/v/2/tasks", None, 400),
        ("GET", "/v/x/tasks", None, 400),
    ],
)
def test_faults_have_their_status_and_an_error_array(node, method, path, body, status):
    answer = node.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()[0]
    assert error["code"] == status
    assert error["title"] and error["description"]


def test_a_validation_error_names_the_attribute(node):
    error = node.request("POST", "/tasks", json={}).json()[0]
    assert error["data"] == {"attribute": "title"}


def test_every_answer_names_the_encodings(node):
    answer = node.request("GET", "/tasks")
    assert answer.headers["Accept"] == "application/msgpack,application/json"
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"


def test_paths_are_unescaped_once_and_split_before(node):
    made = node.create(title="a")
    escaped = "%" + format(ord(made["ID"][0]), "02x") + made["ID"][1:]
    for path, status in (
        (f"/tasks/{escaped}", 200),  # an escape is a byte of the name
        (f"/tasks/%25{escaped[1:]}", 404),  # an escaped escape is not unescaped again
        (f"/tasks/{made['ID']}%00junk", 400),
        (f"/tasks%2F{made['ID']}", 405),
    ):
        with socket.create_connection(("127.0.0.1", node.port), timeout=10.0) as connection:
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 %d " % status), path
