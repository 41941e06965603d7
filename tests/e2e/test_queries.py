"""Filters, orders, pages and declared parameters over HTTP, in both encodings."""

import datetime
import json
import re

import msgpack
import pytest

from programs import KUJATA, Node
from rawws import PING, PONG, TEXT, RawWebSocket

JSON, MSGPACK = "application/json", "application/msgpack"

MODEL = {
    "identities": [
        {"name": "task", "category": "tasks", "attributes": [
            {"name": "title", "required": True},
            {"name": "number", "type": "integer"},
            {"name": "due", "type": "time"},
            {"name": "labels", "type": "list"},
            {"name": "secret", "secret": True},
        ]},
    ],
    "relations": [
        {"child": "task", "operations": ["all"],
         "parameters": [
             {"name": "rlgmp1", "operations": ["retrieve-many"]},
             {"name": "rlgmp2", "type": "boolean", "operations": ["retrieve-many"]},
             {"name": "depth", "type": "integer", "default": 3, "operations": ["retrieve-many"]},
             {"name": "level", "type": "enum", "allowed": ["low", "high"], "multiple": True,
              "operations": ["retrieve-many"]},
             {"name": "confirm", "type": "boolean", "operations": ["delete"]},
         ],
         "requirements": [{"operations": ["delete"], "any_of": ["confirm"]}]},
    ],
}  # fmt: skip

COUNT = 23


def zone(hours):
    return datetime.timezone(datetime.timedelta(hours=hours))


def due(index):
    """Times whose text sorts otherwise than they do."""
    moment = datetime.datetime(2021, 3, 4, 5, tzinfo=datetime.timezone.utc)
    moment += datetime.timedelta(minutes=37 * (index * 7 % COUNT))
    return moment.astimezone(zone(index % 5 - 2))


TASKS = [
    {"title": f"t{index % 4}", "number": index * 5 % COUNT, "due": due(index).isoformat(),
     "labels": [f"l{index % 3}"], "secret": "s"}
    for index in range(COUNT)
]  # fmt: skip


def start(path, *flags, model=MODEL):
    path.write_text(json.dumps(model))
    command = [KUJATA, "serve", "--model", str(path), "--listen", "127.0.0.1:0"]
    return Node(*flags, program=command)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A node that has the tasks above."""
    node = start(tmp_path_factory.mktemp("queries") / "model.json")
    for task in TASKS:
        node.create("/tasks", **task)
    yield node
    node.stop()


def get(node, accept=JSON, method="GET", path="/v/1/tasks", **parameters):
    return node.request(method, path, params=parameters, headers={"Accept": accept})


def decode(answer):
    if answer.headers["Content-Type"] == MSGPACK:
        return msgpack.unpackb(answer.content, timestamp=3)
    return answer.json()


def pages(node, accept, **parameters):
    """The numbers on each page, until there is no next."""
    after = {}
    while True:
        answer = get(node, accept, **parameters, **after)
        assert answer.status_code == 200, answer.text
        yield answer, [task["number"] for task in decode(answer)]
        if "X-Next" not in answer.headers:
            return
        after = {"after": answer.headers["X-Next"]}


# A filter in the language of filters and in Python's.
FILTERS = [
    (None, lambda task: True),
    ("title == t1", lambda task: task["title"] == "t1"),
    ("number > 4 and number <= 17", lambda task: 4 < task["number"] <= 17),
    ('title in [t0, "t3"] or labels contains [l2]',
     lambda task: task["title"] in ("t0", "t3") or "l2" in task["labels"]),
    ('title matches "^t[12]$" and labels not contains [l0]',
     lambda task: task["title"] in ("t1", "t2") and "l0" not in task["labels"]),
    ('due < date("2021-03-04T12:00:00Z")',
     lambda task: datetime.datetime.fromisoformat(task["due"])
     < datetime.datetime(2021, 3, 4, 12, tzinfo=datetime.timezone.utc)),
    ("number == 999", lambda task: False),
]  # fmt: skip

# Keys of `order`, and Python's.
ORDERS = [
    (["number"], lambda task: task["number"]),
    (["-number"], lambda task: -task["number"]),
    (["due"], lambda task: datetime.datetime.fromisoformat(task["due"])),
    (["-title", "number"], lambda task: (-int(task["title"][1:]), task["number"])),
    (["title", "-due"], lambda task: (
        task["title"], -datetime.datetime.fromisoformat(task["due"]).timestamp())),
]  # fmt: skip


@pytest.mark.parametrize("accept", [JSON, MSGPACK])
@pytest.mark.parametrize("order, key", ORDERS, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("text, holds", FILTERS, ids=lambda value: str(value)[:20])
def test_filtered_pages_in_order_are_what_python_makes_of_them(
    tasks, text, holds, order, key, accept
):
    expected = [task["number"] for task in sorted(filter(holds, TASKS), key=key)]
    parameters = {"order": order, "limit": 5}
    if text:
        parameters["q"] = text
    seen = []
    for answer, numbers in pages(tasks, accept, **parameters):
        assert answer.headers["X-Count-Total"] == str(len(expected))
        assert len(numbers) == min(5, len(expected) - len(seen))
        seen += numbers
    assert seen == expected

    parameters.pop("limit")
    second = get(tasks, accept, page=2, pagesize=4, **parameters)
    assert [task["number"] for task in decode(second)] == expected[4:8]
    counted = get(tasks, accept, method="HEAD", **parameters)
    assert (counted.status_code, counted.headers["X-Count-Total"]) == (204, str(len(expected)))


def test_a_page_goes_on_behind_what_is_gone(tasks):
    def numbers(answer):
        return [task["number"] for task in answer.json()]

    made = [tasks.create("/tasks", title="gone", number=1000 + i) for i in range(4)]
    query = {"q": "title == gone", "order": ["title", "-number"], "limit": 2}
    first = get(tasks, **query)
    assert numbers(first) == [1003, 1002]
    for task in made[2:]:
        path = f"/v/1/tasks/{task['ID']}"
        assert tasks.request("DELETE", path, params={"confirm": "true"}).status_code == 200
    assert numbers(get(tasks, after=first.headers["X-Next"], **query)) == [1001, 1000]
    for task in made[:2]:
        tasks.request("DELETE", f"/v/1/tasks/{task['ID']}?confirm=1")


# A request, and the error array that bahamut sends, but for the trace.
REFUSALS = [
    ("GET", "/v/1/tasks?foo=1", '[{"code":400,"description":"Unknown parameter: `foo`",'
     '"subject":"elemental","title":"Bad Request","trace":""}]'),
    ("GET", "/v/1/tasks?page=x", '[{"code":400,"description":"Parameter `page` must be an '
     'integer","subject":"elemental","title":"Bad Request","trace":""}]'),
    ("GET", "/v/1/tasks?rlgmp2=maybe", '[{"code":400,"description":"Parameter \'rlgmp2\' must '
     'be a boolean, got \'maybe\'","subject":"elemental","title":"Invalid Parameter",'
     '"trace":""}]'),
    ("GET", "/v/1/tasks?depth=1&depth=2", '[{"code":400,"description":"Parameter \'depth\' must '
     'be sent only once","subject":"elemental","title":"Invalid Parameter","trace":""}]'),
    ("DELETE", "/v/1/tasks/1", '[{"code":400,"description":"Missing Required parameters: '
     '`confirm`","subject":"elemental","title":"Bad Request","trace":""}]'),
    ("GET", "/v/1/tasks?order=a&order=b&after=2", '[{"code":400,"description":"You can only '
     'order on a single field when using \'after\'","subject":"elemental","title":"Bad '
     'Request","trace":""}]'),
    ("GET", "/v/1/tasks?q=title+%3D%3D", '[{"code":400,"data":{"parameter":"q","position":8},'
     '"description":"invalid value. found EOF","subject":"kujata","title":"Bad Request",'
     '"trace":""}]'),
]  # fmt: skip


@pytest.mark.parametrize("method, path, expected", REFUSALS, ids=[row[1] for row in REFUSALS])
def test_refusals_have_bahamuts_words(tasks, method, path, expected):
    answer = tasks.request(method, path)
    assert answer.status_code == 400
    assert re.sub(r'"trace":"[^"]*"', '"trace":""', answer.text) == expected


def test_a_bad_filter_is_told_in_the_encoding_asked_for(tasks):
    answer = get(tasks, MSGPACK, q="nothing == 1")
    assert answer.status_code == 400
    (error,) = decode(answer)
    assert error["description"] == 'attribute "nothing" of task does not exist'
    assert error["data"] == {"parameter": "q", "position": 0}


@pytest.mark.parametrize("query", ["q=secret == s", "order=secret", "order=number&after=~00",
                                   "order=number&after=~", "after=~00"])  # fmt: skip
def test_what_is_secret_or_forged_is_refused(tasks, query):
    assert tasks.request("GET", "/v/1/tasks?" + query).status_code == 400


@pytest.mark.parametrize("order, told", [
    ("order=number&order=-ID&order=parentID", None),
    ("order=numbre", "Key 1 of `order` is no attribute of task"),
    ("order=-number&order=-x%0d%0ay", "Key 2 of `order` is no attribute of task"),
])  # fmt: skip
def test_an_order_by_what_is_no_attribute_is_told(tasks, order, told):
    answer = tasks.request("GET", "/v/1/tasks?" + order)
    assert answer.status_code == 200
    assert answer.headers.get("X-Messages") == told


def test_a_secret_of_one_version_is_one_in_those_without_the_attribute(tmp_path):
    versions = [
        {"name": "user", "category": "users", "version": 1, "attributes": [{"name": "name"}]},
        {"name": "user", "category": "users", "version": 2,
         "attributes": [{"name": "name"}, {"name": "word", "secret": True}]},
    ]  # fmt: skip
    model = {"identities": versions, "relations": [{"child": "user", "operations": ["all"]}]}
    node = start(tmp_path / "model.json", model=model)
    try:
        for word in ("hush", "quiet"):
            made = node.create("/v/2/users", name="x", word=word)
        for path in ("/v/1/users", "/v/2/users", "/users", f"/v/1/users/{made['ID']}"):
            for accept in (JSON, MSGPACK):
                shown = get(node, accept, path=path).content
                assert b"word" in shown and b"hush" not in shown and b"quiet" not in shown
        assert get(node, path="/v/1/users", order="word", limit=1).status_code == 400
        assert get(node, path="/v/1/users", q="word == hush").status_code == 400

        session = RawWebSocket(node.port)
        session.send(TEXT, b"{}")
        session.send(PING, b"in force")
        assert session.receive()[2] == PONG
        node.request("PATCH", f"/v/1/users/{made['ID']}", json={"name": "y"})
        entity = json.loads(session.message()[1])["entity"]
        assert (entity["name"], entity["word"]) == ("y", "")
        session.close()
    finally:
        node.stop()


def test_versions_know_and_keep_what_others_declare(tmp_path):
    versions = [
        {"name": "user", "category": "users", "version": 1,
         "attributes": [{"name": "name"}, {"name": "born", "type": "time"},
                        {"name": "key", "type": "bytes"}, {"name": "word", "secret": True}]},
        {"name": "user", "category": "users", "version": 2, "attributes": [{"name": "name"}]},
    ]  # fmt: skip
    model = {"identities": versions, "relations": [{"child": "user", "operations": ["all"]}]}
    node = start(tmp_path / "model.json", model=model)
    try:
        session = RawWebSocket(node.port, headers={"Accept": MSGPACK})
        user = {"name": "x", "born": "1970-01-01T00:00:01Z", "key": "AAE=", "word": "w"}
        made = node.create("/v/1/users", **user)
        path = f"/v/2/users/{made['ID']}"
        node.request("PUT", path, json={"name": "y"})
        shown = [get(node, MSGPACK, path=path).content]
        for _ in range(2):
            shown.append(msgpack.unpackb(session.message()[1], timestamp=0)["entity"])
        for entity in (msgpack.unpackb(content, timestamp=0) for content in shown):
            assert (entity["born"], entity["key"]) == (msgpack.Timestamp(1), b"\0\1")
            assert entity["word"] == ""
        assert get(node, path=path).json()["name"] == "y"
        # What this version does not know is dropped, whatever it is to the other.
        unknown = {"name": "z", "word": b"\xff", "born": "no time", "key": 7}
        node.request("PUT", path, headers={"Content-Type": MSGPACK}, data=msgpack.packb(unknown))
        kept = get(node, path=f"/v/1/users/{made['ID']}").json()
        assert (kept["name"], kept["born"], kept["key"]) == ("z", user["born"], user["key"])
        session.close()
    finally:
        node.stop()


def test_fields_thin_every_object_of_a_list(tasks):
    answer = tasks.request("GET", "/tasks?order=number&limit=2", headers={"X-Fields": "number"})
    assert answer.json() == [{"number": 0}, {"number": 1}]


def test_a_list_ends_at_the_largest_page(tmp_path):
    node = start(tmp_path / "model.json", "--limit-page-objects", "10", "--strict-flags")
    try:
        for task in TASKS:
            node.create("/tasks", **task)
        seen = [numbers for _, numbers in pages(node, JSON)]
        assert [len(numbers) for numbers in seen] == [10, 10, 3]
        assert sum(seen, []) == [task["number"] for task in TASKS]
        first = get(node, limit=500)
        assert (len(first.json()), first.headers["X-Count-Total"]) == (10, str(COUNT))
        assert "X-Messages" in get(node).headers
        assert get(node, pagesize=11).status_code == 400
        assert get(node, recursive="false", override="").status_code == 200
        assert get(node, recursive="maybe").status_code == 400
    finally:
        node.stop()


@pytest.mark.parametrize("accept", [JSON, MSGPACK])
@pytest.mark.parametrize("is_kept", [False, True])
def test_a_list_ends_at_the_most_bytes(tmp_path, accept, is_kept):
    store = ["--store", f"sqlite:{tmp_path / 'store.db'}"] if is_kept else []
    most = 1 << 18
    flags = ["--limit-page-bytes", str(most), "--print-counters", *store]
    node = start(tmp_path / "model.json", *flags)
    try:
        for task in TASKS:
            size = 100_000 if task["number"] % 3 else 10
            node.create("/tasks", **{**task, "labels": ["x" * size]})
        for wish in ({}, {"order": "-number"}, {"order": ["title", "due"], "limit": 7},
                     {"q": 'title matches "^t"', "order": "due"}):  # fmt: skip
            seen = list(pages(node, accept, **wish))
            assert len(seen) > 5 and all(len(answer.content) <= most for answer, _ in seen)
            numbers = sum((numbers for _, numbers in seen), [])
            assert sorted(numbers) == list(range(COUNT))
        assert get(node, accept, page=1, pagesize=COUNT).status_code == 400
        assert get(node, accept, page=3, pagesize=1).status_code == 200
    finally:
        assert node.counters()["lists_over_bytes_total"] > 20
