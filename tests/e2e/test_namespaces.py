"""Who hears of an object by where it lives (--namespaces)."""

import json

import pytest

from rawws import PING, PONG, TEXT, RawWebSocket, Refused

ALL = ["create", "retrieve", "retrieve-many", "update", "patch", "delete", "info"]


def identity(name, *attributes):
    return {
        "name": name,
        "category": name + "s",
        "attributes": [{"name": key, "type": kind} for key, kind in attributes],
    }


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    from programs import KUJATA, Node

    model = tmp_path_factory.mktemp("namespaces") / "model.json"
    names = ("namespace", "thing", "homeless")
    model.write_text(
        json.dumps(
            {
                "version": 1,
                "identities": [
                    identity("namespace", ("name", "string"), ("namespace", "string")),
                    identity(
                        "thing",
                        ("name", "string"),
                        ("namespace", "string"),
                        ("propagate", "boolean"),
                        ("propagationHidden", "boolean"),
                    ),
                    identity("homeless", ("name", "string")),
                ],
                "relations": [
                    {"parent": "root", "child": name, "operations": ALL} for name in names
                ],
            }
        )
    )
    command = [KUJATA, "serve", "--model", str(model), "--listen", "127.0.0.1:0"]
    node = Node("--namespaces", "--shards", "1", "--print-counters", program=command)
    yield node
    node.stop()


def connect(node, namespace, query=""):
    session = RawWebSocket(node.port, f"/events?namespace={namespace}{query}")
    session.send(PING, b"open")
    assert session.receive()[2] == PONG
    return session


def heard(session):
    """Names of all objects before the last, which everyone hears."""
    names = []
    while True:
        opcode, payload = session.message()
        assert opcode == TEXT
        event = json.loads(payload)
        name = event["entity"]["name"]
        if name == "end":
            return names
        names.append(name if event["type"] == "create" else f"{event['type']} {name}")


def write_everywhere(node):
    for name, where, more in [
        ("root", "/", {}),
        ("root propagating", "/", {"propagate": True}),
        ("a", "/a", {}),
        ("a propagating", "/a", {"propagate": True}),
        ("a hidden", "/a", {"propagate": True, "propagationHidden": True}),
        ("ab", "/ab", {"propagate": True}),
        ("a/b", "/a/b", {}),
        ("a/b/c", "/a/b/c", {"propagate": True}),
        ("a/x", "/a/x", {"propagate": True}),
        ("nowhere", "", {"propagate": True}),
        ("malformed", "a/b", {"propagate": True}),
    ]:
        node.create("/things", name=name, namespace=where, **more)
    node.create("/homelesss", name="homeless")


def test_objects_are_heard_of_where_they_are_seen(spaces):
    wanted = {
        ("/a/b", ""): ["root propagating", "a propagating", "a/b"],
        ("/a/b", "&mode=all"): ["root propagating", "a propagating", "a/b", "a/b/c"],
        ("/a/b", "&mode=some"): ["root propagating", "a propagating", "a/b"],
        ("/a", ""): ["root propagating", "a", "a propagating", "a hidden"],
        ("/", ""): ["root", "root propagating"],
        ("/", "&mode=all"): [
            "root", "root propagating", "a", "a propagating", "a hidden", "ab", "a/b", "a/b/c", "a/x",
        ],
        ("/ab", "&mode=all"): ["root propagating", "ab"],
        ("/elsewhere", ""): ["root propagating"],
    }  # fmt: skip
    sessions = {key: connect(spaces, *key) for key in wanted}
    write_everywhere(spaces)
    spaces.create("/things", name="end", namespace="/", propagate=True)
    for key, session in sessions.items():
        expected = list(wanted[key])
        assert heard(session) == expected, key
        session.close()


def test_deleted_namespaces_are_told_to_those_below(spaces):
    made = {
        name: spaces.create("/namespaces", name=name, namespace=where)["ID"]
        for name, where in [("/a", "/"), ("/a/b", "/a"), ("/a/b/c", "/a/b"), ("/z", "/")]
    }
    own, below, other = (connect(spaces, name) for name in ("/a/b", "/a/b/c", "/elsewhere"))
    for name in ("/a/b/c", "/a/b", "/a"):
        assert spaces.request("DELETE", f"/namespaces/{made[name]}").status_code < 300
    spaces.create("/things", name="end", namespace="/", propagate=True)
    assert heard(own) == ["delete /a/b/c", "delete /a/b", "delete /a"]
    assert heard(below) == ["delete /a/b/c", "delete /a/b", "delete /a"]
    # A namespace that lives above: its deletion is nothing to hide.
    assert heard(other) == ["delete /a"]
    for session in (own, below, other):
        session.close()


def test_a_push_config_does_not_change_where_a_session_is(spaces):
    session = connect(spaces, "/a/b")
    config = {"parameters": {"namespace": ["/secret"], "mode": ["all"]}}
    session.send(TEXT, json.dumps(config).encode())
    session.send(PING, b"in force")
    assert session.receive()[3] == b"in force"
    spaces.create("/things", name="secret", namespace="/secret")
    spaces.create("/things", name="deeper", namespace="/a/b/c")
    spaces.create("/things", name="own", namespace="/a/b")
    spaces.create("/things", name="end", namespace="/", propagate=True)
    assert heard(session) == ["own"]
    session.close()


@pytest.mark.parametrize("query", ["", "?namespace=", "?namespace=a", "?namespace=/a/", "?namespace=//"])
def test_a_session_is_somewhere(spaces, query):
    with pytest.raises(Refused) as refused:
        RawWebSocket(spaces.port, "/events" + query)
    assert refused.value.status == 403
    assert "namespace" in json.loads(refused.value.body)[0]["description"]
