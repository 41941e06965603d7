"""Writes: what is accepted, what is refused and how, and what comes of one that comes again."""

import base64
import json
import os
from concurrent.futures import ThreadPoolExecutor

import msgpack
import pytest

from programs import KUJATA, Node
from subscribers import JSON, MSGPACK, connect, receive, run

WRITES = os.path.join(os.path.dirname(__file__), "writes.json")


def start(*flags):
    command = [KUJATA, "serve", "--model", WRITES, "--listen", "127.0.0.1:0"]
    return Node(*flags, program=command)


@pytest.fixture(scope="module")
def node():
    started = start()
    yield started
    started.stop()


def keyed(key, **more):
    return {"Idempotency-Key": key, **more}


def count(node):
    return int(node.request("HEAD", "/things").headers["X-Count-Total"])


# ---- validation ----

RULES = [
    ({"name": ""}, "name", "Attribute 'name' is required"),
    ({"age": 4}, "age", "Data '4' of attribute 'age' must be greater than or equal to 5"),
    ({"age": 12}, "age", "Data '12' of attribute 'age' must be less than or equal to 10"),
    (
        {"ratio": 0.25},
        "ratio",
        "Data '0.25' of attribute 'ratio' must be greater than or equal to 0.5",
    ),
    ({"ratio": 2}, "ratio", "Data '2' of attribute 'ratio' must be less than or equal to 1.5"),
    ({"code": "a"}, "code", "Data 'a' of attribute 'code' must have a length of at least 2"),
    ({"code": "abcde"}, "code", "Data 'abcde' of attribute 'code' must have a length of at most 4"),
    ({"code": "a1"}, "code", "Data 'a1' of attribute 'code' must match '^[a-z]+$'"),
    (
        {"status": "NOPE"},
        "status",
        "Data 'NOPE' of attribute 'status' is not in list '[DONE PROGRESS TODO]'",
    ),
    ({"labels": []}, "labels", "Data of attribute 'labels' must have a length of at least 1"),
    (
        {"labels": ["a", "b", "c"]},
        "labels",
        "Data of attribute 'labels' must have a length of at most 2",
    ),
    ({"pin": "letters"}, "pin", "Data '***' of attribute 'pin' must match '^[0-9]*$'"),
    (
        {"blob": "AQIDBA=="},
        "blob",
        "Data 'AQIDBA==' of attribute 'blob' must have a length of at most 3",
    ),
]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("wrong, attribute, description", RULES)
def test_every_rule_holds_for_every_write(node, method, wrong, attribute, description):
    made = node.create("/things", name="n")
    path = "/things" if method == "POST" else f"/things/{made['ID']}"
    body = wrong if method == "PATCH" else {"name": "n", **wrong}
    answer = node.request(method, path, json=body)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()
    assert error.pop("trace")
    assert error == {
        "code": 422,
        "data": {"attribute": attribute},
        "description": description,
        "subject": "elemental",
        "title": "Validation Error",
    }
    assert node.request("GET", f"/things/{made['ID']}").json() == made


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_all_faults_are_told_at_once_in_the_order_of_their_names(node, method):
    made = node.create("/things", name="n")
    path = "/things" if method == "POST" else f"/things/{made['ID']}"
    body = {"status": "NOPE", "name": "", "code": "1", "age": 4}
    errors = node.request(method, path, json=body).json()
    assert [error["data"]["attribute"] for error in errors] == [
        "age",
        "code",
        "code",
        "name",
        "status",
    ]
    assert len({error["trace"] for error in errors}) == 1


def test_what_a_client_may_not_set_is_kept(node):
    made = node.create("/things", name="n", fixed="f", made="there", ID="mine", parentID="p")
    assert (made["fixed"], made["made"], made["parentID"]) == ("f", "here", "")
    assert made["ID"] != "mine"
    path = f"/things/{made['ID']}"
    for method in ("PUT", "PATCH"):
        body = {"name": "n", "fixed": "g", "made": "there", "ID": "mine"}
        assert node.request(method, path, json=body).json() == made


def test_a_patch_holds_something(node):
    made = node.create("/things", name="n")
    path = f"/things/{made['ID']}"
    answer = node.request("PATCH", path)
    assert answer.status_code == 400
    assert answer.json()[0]["description"] == "unable to decode application/json: EOF"
    # An object without members changes nothing.
    assert node.request("PATCH", path, json={}).json() == made


# ---- times, bytes and secrets, in answers and events ----


def test_times_and_bytes_go_from_one_encoding_to_the_other(node):
    async def body():
        async with connect(node, JSON) as text, connect(node, MSGPACK) as binary:
            made = node.request(
                "POST",
                "/things",
                json={
                    "name": "2021-03-04T05:06:07Z",
                    "blob": "AQID",
                    "due": "2021-03-04T07:06:07.5+02:00",
                    "dates": ["2021-03-04T05:06:07Z"],
                    "pin": "1234",
                },
                headers={"Accept": MSGPACK},
            )
            typed = msgpack.unpackb(made.content)
            assert typed["blob"] == b"\x01\x02\x03"
            assert typed["due"] == msgpack.Timestamp(1614834367, 500000000)
            assert typed["dates"] == [msgpack.Timestamp(1614834367, 0)]
            assert typed["name"] == "2021-03-04T05:06:07Z"
            assert typed["pin"] == ""
            event = await receive(text, JSON)
            assert event["entity"]["blob"] == "AQID"
            assert event["entity"]["due"] == "2021-03-04T05:06:07.5Z"
            assert event["entity"]["pin"] == ""
            frame = msgpack.unpackb(await binary.recv())
            assert msgpack.unpackb(frame["entity"]) == typed

    run(body())


def test_bodies_in_msgpack_may_hold_bytes_as_str_and_texts_as_bin(node):
    headers = {"Content-Type": MSGPACK}
    for name, blob in (("n", b"\xff\x00"), (b"n", b"\xff\x00"), ("n", "ab")):
        data = msgpack.packb({"name": name, "blob": blob})
        made = node.request("POST", "/things", data=data, headers=headers)
        assert made.status_code == 200, made.text
        raw = blob if isinstance(blob, bytes) else blob.encode()
        assert made.json()["name"] == "n"
        assert made.json()["blob"] == base64.b64encode(raw).decode()


@pytest.mark.parametrize("blob", ["AQI", "*", 12, ["AQID"], {"a": 1}])
def test_bytes_that_are_none_are_refused(node, blob):
    answer = node.request("POST", "/things", json={"name": "n", "blob": blob})
    assert answer.status_code == 400
    assert "attribute 'blob' must be base64 text" in answer.json()[0]["description"]


# ---- keys ----


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_a_write_that_comes_again_gets_its_first_answer(node, encoding):
    before = count(node)
    headers = keyed("first " + encoding, Accept=encoding)
    body = {"name": "n", "pin": "1234"}
    first = node.request("POST", "/things", json=body, headers=headers)
    again = node.request("POST", "/things", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    for answer in (first, again):
        answer.headers.pop("Date")
    assert again.headers == first.headers
    assert count(node) == before + 1


def test_a_key_belongs_to_one_request(node):
    node.request("POST", "/things", json={"name": "n"}, headers=keyed("one"))
    for method, path, body in (
        ("POST", "/things", {"name": "m"}),
        ("POST", "/v/1/things", {"name": "n"}),
        ("PATCH", "/things/1", {"name": "n"}),
    ):
        answer = node.request(method, path, json=body, headers=keyed("one"))
        assert answer.status_code == 422
        assert answer.json()[0]["title"] == "Idempotency-Key is already used"


def test_a_key_belongs_to_one_caller(node):
    before = count(node)
    for token in ("a", "b"):
        for _ in range(2):
            headers = keyed("shared", Authorization=f"Bearer {token}")
            assert node.request("POST", "/things", json={"name": "n"}, headers=headers).ok
    assert count(node) == before + 2


def test_a_renewed_token_in_the_query_asks_for_the_same(serve, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("old sub=ann\nnew sub=ann\n")
    node = serve("--auth-tokens", str(tokens), "--auth-query")
    answers = [
        node.request("POST", f"/tasks?token={token}", json={"title": "t"}, headers=keyed("k"))
        for token in ("old", "new")
    ]
    assert answers[0].status_code == 200, answers[0].text
    assert answers[1].status_code == 200, answers[1].text
    assert answers[0].json()["ID"] == answers[1].json()["ID"]


def test_a_write_that_comes_again_is_not_published_again(node):
    async def body():
        async with connect(node, JSON) as session:
            for name in ("a", "a", "b"):
                headers = keyed("published " + name)
                assert node.request("POST", "/things", json={"name": name}, headers=headers).ok
            names = [(await receive(session, JSON))["entity"]["name"] for _ in range(2)]
            assert names == ["a", "b"]

    run(body())


def test_of_many_equal_writes_at_once_one_is_done(node):
    before = count(node)

    def write(_):
        with node.http.__class__() as http:
            http.trust_env = False
            headers = keyed("crowd", **{"Content-Type": JSON})
            body = json.dumps({"name": "n"})
            return http.post(node.url + "/things", data=body, headers=headers, timeout=30)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(write, range(64)))
    done = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert done and len({answer.content for answer in done}) == 1
    assert count(node) == before + 1


def test_bounds_and_counters_of_keys_are_told():
    node = start("--limit-idempotency-answers", "2", "--print-counters")
    try:
        for key in ("a", "b", "c", "c", "a"):
            assert node.request("POST", "/things", json={"name": "n"}, headers=keyed(key)).ok
        assert count(node) == 4
        node.request("POST", "/things", json={"name": "m"}, headers=keyed("a"))
        long = node.request("POST", "/things", json={"name": "n"}, headers=keyed("x" * 256))
        assert long.status_code == 400
    finally:
        counters = node.counters()
    assert counters["idempotency_hits_total"] == 1
    assert counters["idempotency_conflicts_total"] == 1
    assert counters["idempotency_evictions_total"] == 2
    assert counters["idempotency_answers_current"] == 2
    assert counters["idempotency_bytes_current"] > 0
    assert "idempotency_answers" in node.stderr()


def test_keys_may_be_ignored():
    node = start("--ignore-idempotency-keys")
    try:
        for _ in range(2):
            assert node.request("POST", "/things", json={"name": "n"}, headers=keyed("a")).ok
        assert count(node) == 2
    finally:
        node.stop()
