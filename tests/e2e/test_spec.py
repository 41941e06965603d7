"""The documents of a model: others find them right, and a server keeps what they say."""

import copy
import json
import os
import subprocess

import jsonschema
import msgpack
import pytest

import validators
from programs import KUJATA, MODEL, Node
from subscribers import JSON, MSGPACK, connect, create, receive, request, run, subscribe
from validators import Schemas, as_json

HERE = os.path.dirname(os.path.abspath(__file__))
TODO = os.path.join(HERE, "..", "..", "examples", "todo", "model.json")
RICH = os.path.join(HERE, "spec.json")
MODELS = {"test": MODEL, "todo": TODO, "rich": RICH}

FULL = (
    "--title=Things --version=7 --url=https://x.example:8443/here/ --api-prefix=/api "
    "--push-endpoint=/push --limit-page-objects=50 --strict-flags --ignore-idempotency-keys "
    "--auth --auth-cookie=session --auth-query --auth-public-reads"
).split()


def spec(kind, model, *flags):
    """The text that `kujata spec` prints."""
    done = subprocess.run(
        [KUJATA, "spec", kind, "--model", model, *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder():
    return validators.installed(os.environ["KUJATA_SPEC_VALIDATORS"])


# ---- the documents ----


def test_validators_find_no_fault(folder, tmp_path):
    paths = []
    for name, model in MODELS.items():
        for kind in ("openapi", "asyncapi"):
            for flags in ((), FULL):
                paths.append(tmp_path / f"{name}-{kind}-{len(flags)}.json")
                paths[-1].write_text(spec(kind, model, *flags))
    assert validators.faults(folder, *paths) == []


def without(path):
    def change(document):
        *way, last = path
        for key in way:
            document = document[key]
        del document[last]

    return change


def with_value(path, value):
    def change(document):
        *way, last = path
        for key in way:
            document = document[key]
        document[last] = value

    return change


LISTS = ("paths", "/v/1/lists")

BROKEN = {
    "openapi": [
        without(("info", "version")),
        without(("components", "schemas", "error")),
        with_value(("components", "schemas", "error", "type"), "strin"),
        with_value((*LISTS, "get", "operationId"), "v1.list.create"),
        with_value((*LISTS, "get", "parameters", 0), {"name": "x", "in": "nowhere"}),
        with_value(("paths", "/v/1/lists/{ID}", "parameters", 0, "name"), "other"),
        with_value(("security",), [{"unknown": []}]),
        with_value((*LISTS, "get", "tags"), ["unknown"]),
    ],
    "asyncapi": [
        without(("info", "version")),
        without(("components", "schemas", "task")),
        with_value(("components", "schemas", "task", "type"), "strin"),
        with_value(("operations", "sendEvent", "action"), "push"),
        with_value(("operations", "sendEvent", "channel", "$ref"), "#/channels/none"),
        with_value(("channels", "events", "messages", "event.json", "$ref"), "#/none"),
    ],
}


@pytest.mark.parametrize("kind", BROKEN)
def test_validators_find_each_fault(folder, tmp_path, kind):
    whole = json.loads(spec(kind, MODEL))
    paths = []
    for change in BROKEN[kind]:
        document = copy.deepcopy(whole)
        change(document)
        paths.append(str(tmp_path / f"{kind}-{len(paths)}.json"))
        with open(paths[-1], "w", encoding="utf-8") as file:
            json.dump(document, file)
    found = validators.faults(folder, *paths)
    for path in paths:
        assert any(line.startswith(path) for line in found), path


def test_documents_come_out_the_same_each_time():
    for kind in ("openapi", "asyncapi"):
        assert spec(kind, RICH, *FULL) == spec(kind, RICH, *FULL)


@pytest.mark.parametrize(
    "arguments, code, named",
    [
        ((), 2, "openapi|asyncapi"),
        (("raml", "--model", MODEL), 2, "openapi|asyncapi"),
        (("openapi",), 2, "--model"),
        (("openapi", "--model", "/none"), 2, "/none"),
        (("openapi", "--model", MODEL, "--url", "x"), 2, "server_url"),
        (("asyncapi", "--model", MODEL, "--push-endpoint", "x"), 2, "push_endpoint"),
    ],
)
def test_a_wrong_command_line_is_one_line(start, arguments, code, named):
    program = start(KUJATA, "spec", *arguments)
    assert program.wait() == code
    lines = program.stderr().splitlines()
    assert len(lines) == 1 and named in lines[0], lines


# ---- under /_meta ----


def test_a_node_serves_what_the_program_prints(serve):
    node = serve()
    for kind in ("openapi", "asyncapi"):
        answer = node.request("GET", f"/_meta/{kind}.json")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert answer.json() == json.loads(spec(kind, MODEL))


def test_a_node_describes_itself(serve, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("secret sub=alice\n")
    node = serve(
        *f"--auth-tokens={tokens} --auth-cookie=session --auth-query --auth-public-reads".split(),
        *"--service-name=Things --spec-version=7 --spec-url=https://x.example/here".split(),
        *"--api-prefix=/api --push-endpoint=/push --limit-page-objects=50 --strict-flags".split(),
        "--ignore-idempotency-keys",
    )
    flags = [flag for flag in FULL if not flag.startswith("--url")]
    flags.append("--url=https://x.example/here")
    for kind in ("openapi", "asyncapi"):
        served = node.request("GET", f"/_meta/{kind}.json").json()
        assert served == json.loads(spec(kind, MODEL, *flags))


def test_no_meta_routes_means_no_documents(serve):
    node = serve("--no-meta-routes")
    for kind in ("openapi", "asyncapi"):
        assert node.request("GET", f"/_meta/{kind}.json").status_code == 405


# ---- answers ----


class Described:
    """A node whose answers are held against its own document."""

    def __init__(self, node):
        self.node = node
        self.document = node.request("GET", "/_meta/openapi.json").json()
        self.schemas = Schemas(self.document, jsonschema.Draft202012Validator)
        self.seen = set()

    def body_schema(self, method, template):
        body = self.document["paths"][template][method.lower()]["requestBody"]
        return body["content"][JSON]["schema"]

    def call(self, method, template, wanted, encoding=JSON, body=None, query="", **ids):
        """One call, which must be answered as the document says, and with a status."""
        operation = self.document["paths"][template][method.lower()]
        headers = {"Accept": encoding, "Content-Type": JSON}
        data = None if body is None else json.dumps(body)
        answer = self.node.request(
            method, template.format(**ids) + query, headers=headers, data=data
        )
        assert answer.status_code == wanted, answer.text
        response = self.schemas.follow(operation["responses"][str(wanted)])
        for name in response["headers"]:
            if name == "X-Count-Total":
                assert answer.headers[name].isdigit()
        if "content" not in response:
            assert not answer.content
            return None
        written = answer.headers["Content-Type"].partition(";")[0]
        assert written == encoding or wanted == 400
        value = answer.json() if written == JSON else msgpack.unpackb(answer.content)
        self.schemas.check(as_json(value), response["content"][written]["schema"])
        self.seen.add(operation["operationId"])
        return value

    def life_of(self, path, body, change, encoding):
        """Everything that can be done to one object; `path` is of its category."""
        one = path + "/{ID}"
        assert not self.schemas.faults(body, self.body_schema("POST", path))
        made = self.call("POST", path, 200, encoding, body)
        key = {"ID": made["ID"]}
        assert not self.schemas.faults(body, self.body_schema("PUT", one))
        assert not self.schemas.faults(change, self.body_schema("PATCH", one))
        self.call("GET", path, 200, encoding)
        self.call("GET", path, 200, encoding, query="?limit=1&order=ID&q=ID exists")
        self.call("HEAD", path, 204, encoding)
        self.call("GET", one, 200, encoding, **key)
        self.call("HEAD", one, 204, encoding, **key)
        self.call("PUT", one, 200, encoding, body, **key)
        self.call("PATCH", one, 200, encoding, change, **key)
        self.call("DELETE", one, 200, encoding, **key)
        self.refuse(path, one, encoding)

    def refuse(self, path, one, encoding):
        self.call("GET", one, 404, encoding, ID="none")
        self.call("HEAD", one, 404, encoding, ID="none")
        self.call("POST", path, 400, encoding, {"name": {}, "title": {}, "userName": {}})
        assert self.schemas.faults({}, self.body_schema("POST", path))
        self.call("POST", path, 422, encoding, {})
        self.call("GET", path, 400, encoding, query="?nothing=1")


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_answers_are_as_described(serve, encoding):
    described = Described(serve())
    described.life_of("/v/1/lists", {"name": "a", "password": "p"}, {"name": "b"}, encoding)
    task = {"title": "a", "number": 3, "done": True, "due": "2021-03-04T05:06:07Z"}
    described.life_of("/v/1/tasks", task, {"due": None, "status": "closed"}, encoding)


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_answers_of_the_example_are_as_described(serve, encoding):
    described = Described(serve("--model", TODO))
    body = {"name": "a", "slice": ["x"], "date": "2021-03-04T05:06:07.5+02:00", "secret": "s"}
    described.life_of("/v/1/lists", body, {"description": "d", "slice": None}, encoding)
    user = {"userName": "u", "firstName": "f", "lastName": "l"}
    described.life_of("/v/1/users", user, {"archived": True}, encoding)
    parent = described.call("POST", "/v/1/lists", 200, JSON, {"name": "a"})["ID"]
    tasks = "/v/1/lists/{parentID}/tasks"
    made = described.call("POST", tasks, 200, JSON, {"name": "t"}, parentID=parent)
    described.call("GET", tasks, 200, encoding, parentID=parent)
    described.call("HEAD", tasks, 204, encoding, parentID=parent)
    described.call("PATCH", "/v/1/tasks/{ID}", 200, encoding, {"status": "DONE"}, ID=made["ID"])
    described.call("PATCH", "/v/1/tasks/{ID}", 422, encoding, {"status": "?"}, ID=made["ID"])


GOOD = {
    "name": "n", "key": "long enough", "opens": "2021-03-04T05:06:07Z", "count": 1,
    "agreed": True, "parts": ["p"], "seal": {"by": "me"},
}  # fmt: skip


@pytest.mark.parametrize(
    "change, fits",
    [
        ({}, True),
        ({"name": ""}, False),
        ({"name": "n" * 20}, True),
        ({"name": "n" * 21}, False),
        ({"code": ""}, True),
        ({"code": "ABC"}, True),
        ({"code": "abc"}, False),
        ({"key": "abc"}, False),
        ({"opened": None}, True),
        ({"opened": "2021-03-04T05:06:07+01:00"}, True),
        ({"size": 0}, True),
        ({"size": 9}, True),
        ({"size": 10}, False),
        ({"size": -1}, False),
        ({"count": 0}, False),
        ({"level": 0}, False),
        ({"level": 1}, True),
        ({"weight": 0}, True),
        ({"weight": 0.25}, False),
        ({"weight": 0.5}, True),
        ({"agreed": False}, False),
        ({"tags": None}, True),
        ({"tags": []}, True),
        ({"tags": ["a", "b", "c"]}, True),
        ({"tags": ["a", "b", "c", "d"]}, False),
        ({"visits": ["2021-03-04T05:06:07Z", None]}, True),
        ({"parts": []}, False),
        ({"parts": "p"}, False),
        ({"about": None}, True),
        ({"about": {"x": [1]}}, True),
        ({"seal": {}}, False),
        ({"state": ""}, True),
        ({"state": "open"}, True),
        ({"state": "ajar"}, False),
        ({"colour": ""}, False),
        ({"colour": "blue"}, True),
        ({"data": ""}, True),
        ({"data": "YQ=="}, None),  # one byte; of base64 a schema sees whole groups
        ({"data": "YWI="}, True),
        ({"data": "YWJjZGVmZw=="}, False),
    ],
)
def test_a_body_fits_the_schema_where_the_server_takes_it(rich, change, fits):
    body = {**GOOD, **change}
    faults = rich.schemas.faults(body, rich.body_schema("POST", "/v/1/boxes"))
    taken = rich.node.request("POST", "/v/1/boxes", json=body).status_code
    if fits is None:
        assert taken == 422 and not faults
        return
    assert (not faults, taken == 200) == (fits, fits), (faults, taken)
    if fits:
        rich.call("GET", "/v/1/boxes", 200, MSGPACK)
        rich.call("POST", "/v/1/boxes", 200, JSON, body)


@pytest.fixture(scope="module")
def rich():
    node = Node("--model", RICH)
    yield Described(node)
    node.stop()


def test_parameters_are_as_described(rich):
    path, one = "/v/1/boxes", "/v/1/boxes/{ID}"
    made = rich.call("POST", path, 200, JSON, GOOD)
    declared = rich.document["paths"][path]["get"]["parameters"]
    queries = {
        "integer": "4", "number": "0.25", "boolean": "true", "array": "high", "string": "1h",
    }  # fmt: skip
    asked = []
    for parameter in map(rich.schemas.follow, declared):
        if parameter["in"] == "query" and parameter["name"] not in ("q", "after", "page", "limit"):
            value = queries[parameter["schema"]["type"]]
            value = "2021-03-04" if parameter["name"] == "since" else value
            value = "ID" if parameter["name"] == "order" else value
            asked.append(f"{parameter['name']}={value}")
    assert len(asked) == 11
    rich.call("GET", path, 200, JSON, query="?" + "&".join(asked))
    rich.call("GET", path, 400, JSON, query="?kind=none")
    rich.call("DELETE", one, 400, JSON, ID=made["ID"])
    rich.call("DELETE", one, 200, JSON, query="?confirm=yes&ticket=1", ID=made["ID"])


def test_versions_are_as_described(rich):
    made = rich.call("POST", "/v/2/boxes", 200, JSON, {})
    assert made["label"] == "none"
    things = "/v/2/boxes/{parentID}/things"
    rich.call("POST", things, 200, JSON, {"n": 1}, parentID=made["ID"])
    rich.call("GET", things, 200, JSON, parentID=made["ID"])


def test_other_refusals_are_as_described(serve, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("secret sub=alice\n")
    path = "/v/1/lists"
    described = Described(serve("--auth-tokens", str(tokens)))
    described.call("GET", path, 401)
    described = Described(serve("--read-only", "--rate-limit", "1/2"))
    described.call("POST", path, 423, JSON, {"name": "a"})
    answers = [described.node.request("GET", path) for _ in range(3)]
    late = answers[-1]
    assert late.status_code == 429 and late.headers["Retry-After"].isdigit()
    response = described.schemas.follow(
        described.document["paths"][path]["get"]["responses"]["429"]
    )
    described.schemas.check(late.json(), response["content"][JSON]["schema"])


# ---- events ----


def messages_of(node):
    document = node.request("GET", "/_meta/asyncapi.json").json()
    components = document["components"]
    payloads = {name: one["payload"] for name, one in components["messages"].items()}
    return Schemas(document, jsonschema.Draft7Validator), payloads


@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_events_are_as_described(serve, encoding):
    node = serve()
    schemas, payloads = messages_of(node)
    end = "json" if encoding == JSON else "msgpack"

    def check(event, message):
        schemas_of = schemas.document["components"]["schemas"]
        entity = "error.entity" if message == "error" else event["identity"] + ".v1"
        seen = as_json(event)
        schemas.check(seen["entity"], schemas_of[entity])
        if encoding == MSGPACK:
            seen["entity"] = ""  # a bin, which is read already
        assert not schemas.faults(seen, payloads[f"{message}.{end}"]), seen

    async def body():
        async with connect(node, encoding, "?enableErrors=true") as session:
            config = {
                "identities": {"task": ["create", "update", "delete"], "list": None},
                "filters": {"task": "title exists"},
                "parameters": {"x": ["y"]},
            }
            assert not schemas.faults(config, payloads[f"push-config.{end}"])
            await subscribe(session, config, encoding)
            task = await create(node, title="one", due="2021-03-04T05:06:07Z")
            path = f"/tasks/{task['ID']}"
            await request(node, "PATCH", path, json={"due": None})
            await request(node, "DELETE", path)
            await create(node, "/lists", name="a", password="p")
            for _ in range(4):
                check(await receive(session, encoding), "event")
            bad = {"identities": 3}
            assert schemas.faults(bad, payloads[f"push-config.{end}"])
            await session.send(json.dumps(bad) if encoding == JSON else msgpack.packb(bad))
            refusal = await receive(session, encoding)
            assert refusal["type"] == "error"
            check(refusal, "error")

    run(body())
