"""Who gets in: tokens in a file, JSON Web Tokens, and what is written down of it."""

import json
import os
import re
import signal
import struct
import time

import pytest

from deadline import eventually
from pki import Authority
from programs import KUJATA, MODEL
from rawws import CLOSE, TEXT, RawWebSocket, Refused
from tokens import Ec, Rsa, Secret, b64, part, sha256, token

HOUR = 3600


def write(folder, name, content):
    path = folder / name
    if isinstance(content, (dict, list)):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


def call(node, text=None, method="GET", **options):
    headers = {**(bearer(text) if text else {}), **options.pop("headers", {})}
    return node.request(method, options.pop("path", "/tasks"), headers=headers, **options)


def session_status(node, text=None, path="/events", headers=None):
    try:
        RawWebSocket(node.port, path, {**(bearer(text) if text else {}), **(headers or {})}).close()
    except Refused as refused:
        return refused.status
    return 101


def refusal(answer):
    assert answer.status_code == 401, answer.text
    (error,) = answer.json()
    assert error["title"] == "Unauthorized" and error["subject"] == "bahamut"
    return error["description"]


# ---- who must be asked for ----


def test_an_open_server_others_can_reach_must_be_asked_for(serve, start):
    listen = "0.0.0.0:0"
    program = start(KUJATA, "serve", "--model", MODEL, "--listen", listen)
    assert program.wait() == 2
    assert "--allow-all" in program.stderr() and listen in program.stderr()
    node = serve("--allow-all", listen=listen)
    node.url = f"http://127.0.0.1:{node.port}"
    assert call(node).status_code == 200


def test_an_address_others_can_reach_needs_nothing_more_with_tokens(serve, tmp_path):
    node = serve("--auth-tokens", write(tmp_path, "t", "good\n"), listen="0.0.0.0:0")
    node.url = f"http://127.0.0.1:{node.port}"
    assert call(node).status_code == 401
    assert call(node, "good").status_code == 200


@pytest.mark.parametrize(
    "flags, named",
    [
        (("--auth-tokens", "/none"), "--auth-tokens: /none"),
        (("--jwt-key", "/none"), "--jwt-alg"),
        (("--jwt-issuer", "x"), "--jwt-alg"),
        (("--jwt-alg", "none", "--jwt-key", "/none"), "--jwt-alg"),
        (("--jwt-alg", "hs256", "--jwt-key", "/none"), "--jwt-alg"),
        (("--jwt-alg", "HS256"), "--jwt-key"),
        (("--jwt-alg", "HS256", "--jwt-key", "/none", "--jwt-jwks", "/none"), "--jwt-jwks"),
        (("--jwt-alg", "HS256", "--jwt-key", "/none"), "/none"),
        (("--auth-public-reads",), "--auth-public-reads"),
        (("--auth-certificate",), "--tls-client-ca"),
        (("--accounts", "memory", "--auth-cookie", "a=b"), "--auth-cookie"),
    ],
)
def test_what_is_wrong_with_the_flags_is_named(start, flags, named):
    program = start(KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0", *flags)
    assert program.wait() == 2
    assert named in program.stderr()


def test_a_file_without_a_token_is_taken_with_a_warning(serve, tmp_path):
    tokens = write(tmp_path, "tokens", "# later\n")
    node = serve("--auth-tokens", tokens)
    eventually(lambda: f"there is no token in {tokens}: it lets nobody in" in node.stderr(), what="the warning")
    assert call(node, "good").status_code == 401


def test_everybody_and_somebody_exclude_each_other(start, tmp_path):
    tokens = write(tmp_path, "t", "good\n")
    program = start(KUJATA, "serve", "--model", MODEL, "--allow-all", "--auth-tokens", tokens)
    assert program.wait() == 2
    assert "--allow-all" in program.stderr()


# ---- tokens in a file ----


def test_tokens_of_a_file_open_calls_and_sessions(serve, tmp_path):
    lines = ["# who may come", "", "plain sub=alice role=admin", f"{sha256('hidden')}  sub=bob\r"]
    node = serve("--auth-tokens", write(tmp_path, "tokens", "\n".join(lines)))
    for text in ("plain", "hidden"):
        assert call(node, text).status_code == 200
        assert session_status(node, text) == 101
        assert session_status(node, path=f"/events?token={text}") == 101
    for text in (None, "plai", "plain2", sha256("hidden"), "#", "\u00e9\u00df".encode().decode("latin-1")):
        assert call(node, text).status_code == 401
        assert session_status(node, text) == 401
    assert refusal(call(node)) == "You are not authorized to access this resource."
    assert call(node, path="/tasks?token=plain").status_code == 400


def test_refusals_have_bahamuts_words_and_are_counted(serve, tmp_path):
    node = serve("--auth-tokens", write(tmp_path, "t", "good"), "--print-counters")
    answer = call(node)
    assert re.fullmatch(
        r'\[\{"code":401,"description":"You are not authorized to access this resource\.",'
        r'"subject":"bahamut","title":"Unauthorized","trace":"[-0-9a-f]{36}"\}\]',
        answer.text,
    )
    with pytest.raises(Refused) as refused:
        RawWebSocket(node.port)
    assert re.fullmatch(
        rb'\[\{"code":401,"description":"You are not authorized to start a session",'
        rb'"subject":"bahamut","title":"Unauthorized","trace":"[-0-9a-f]{36}"\}\]',
        refused.value.body,
    )
    assert "was not authenticated" in node.stderr()
    assert node.counters()["auth_refused_total"] == 2


def test_a_token_file_is_read_again_on_sighup(serve, tmp_path):
    path = write(tmp_path, "tokens", "old\n")
    node = serve("--auth-tokens", path, "--print-counters")
    assert call(node, "old").status_code == 200
    write(tmp_path, "tokens", "new sub=x\n")
    node.signal(signal.SIGHUP)
    eventually(lambda: call(node, "new").status_code == 200, what="the new tokens")
    assert call(node, "old").status_code == 401
    write(tmp_path, "tokens", "newer\nbroken claim\n")
    node.signal(signal.SIGHUP)
    eventually(lambda: "line 2" in node.stderr(), what="the complaint")
    assert call(node, "new").status_code == 200
    counters = node.counters()
    assert counters["auth_reloads_total"] == 1 and counters["auth_reloads_failed_total"] == 1


@pytest.mark.parametrize(
    "content, named",
    [
        ("a x", "line 1"),
        ("a x=\n", "line 1"),
        ("ok\nsha256:abc\n", "line 2"),
        ("x\nSECRETx\n", "twice"),
        ("nul\0\n", "line 1"),
        ("a" * 20000, "line 1"),
        ("t" + " a=b" * 65, "line 1"),
    ],
)
def test_a_bad_token_file_is_refused_without_a_word_of_its_tokens(start, tmp_path, content, named):
    path = write(tmp_path, "tokens", "SECRET" + content)
    program = start(KUJATA, "serve", "--model", MODEL, "--auth-tokens", path)
    assert program.wait() == 2
    assert named in program.stderr() and "SECRET" not in program.stderr()


def test_public_reads_need_no_token(serve, tmp_path):
    node = serve("--auth-tokens", write(tmp_path, "t", "good"), "--auth-public-reads")
    assert call(node).status_code == 200
    assert call(node, "bad").status_code == 401
    assert call(node, method="POST", json={"title": "x"}).status_code == 401
    assert call(node, "good", method="POST", json={"title": "x"}).status_code == 200
    assert session_status(node) == 401


def test_cookie_and_query(serve, tmp_path):
    tokens = write(tmp_path, "t", "good\n")
    node = serve("--auth-tokens", tokens, "--auth-cookie", "sid", "--auth-query")
    cookie = {"Cookie": "a=b; sid=good"}
    assert call(node, headers=cookie).status_code == 200
    assert session_status(node, headers=cookie) == 101
    quoted = {"Cookie": 'sid="good" ; a=b'}
    assert call(node, headers=quoted).status_code == 200
    assert session_status(node, headers=quoted) == 101
    assert call(node, headers={**cookie, "Origin": node.url}).status_code == 200
    assert call(node, headers={**cookie, "Origin": "http://foe.example"}).status_code == 401
    assert call(node, path="/tasks?token=good").status_code == 200
    assert call(node, "bad", path="/tasks?token=good", headers=cookie).status_code == 401


# ---- JSON Web Tokens ----

KEYS = [
    *(Secret(f"HS{bits}") for bits in (256, 384, 512)),
    *(Rsa(f"RS{bits}") for bits in (256, 384, 512)),
    *(Ec(f"ES{bits}") for bits in (256, 384, 512)),
]


def jwt_flags(folder, key):
    return ("--jwt-alg", key.algorithm, "--jwt-key", write(folder, "key", key.file()))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
def test_every_algorithm_from_a_key_and_from_a_set(serve, tmp_path, key):
    other = type(key)(key.algorithm)
    jwks = write(tmp_path, "jwks", {"keys": [other.jwk(kid="a"), key.jwk(kid="b", use="sig")]})
    single = serve(*jwt_flags(tmp_path, key))
    several = serve("--jwt-alg", key.algorithm, "--jwt-jwks", jwks)
    claims = {"sub": "alice", "exp": time.time() + HOUR}
    good = token(key, claims)
    assert call(single, good).status_code == 200, call(single, good).text
    assert session_status(single, good) == 101
    assert refusal(call(single, token(other, claims))) == "The token is not valid"
    assert session_status(single, token(other, claims)) == 401

    assert call(several, token(key, claims, kid="b")).status_code == 200
    assert call(several, token(other, claims, kid="a")).status_code == 200
    for wrong in ({"kid": "a"}, {"kid": "c"}, {"kid": ["b"]}, {"kid": None}, {}):
        assert call(several, token(key, claims, **wrong)).status_code == 401


@pytest.fixture(scope="module")
def hs(tmp_path_factory):
    """A node that takes HS256, and its key."""
    from programs import Node

    key = Secret()
    node = Node(*jwt_flags(tmp_path_factory.mktemp("hs"), key))
    yield node, key
    node.stop()


def test_times(hs):
    node, key = hs
    now = time.time()
    for claims in ({}, {"exp": now + 60}, {"nbf": now - 60, "iat": now - 60}, {"exp": 1e300}):
        assert call(node, token(key, claims)).status_code == 200, claims
    for claims in ({"exp": now - 1}, {"exp": 0}, {"exp": -5.5}):
        assert refusal(call(node, token(key, claims))) == "The token has expired"
    for claims in ({"nbf": now + 60}, {"iat": now + 60}, {"iat": 1e300}):
        assert refusal(call(node, token(key, claims))) == "The token is not valid yet"
    for claims in ({"exp": str(now + 60)}, {"exp": None}, {"nbf": []}, {"iat": True}):
        assert refusal(call(node, token(key, claims))) == "The token is not valid"


def test_leeway_issuer_and_audience(serve, tmp_path):
    key = Secret()
    flags = ("--jwt-leeway-s", "100", "--jwt-issuer", "us", "--jwt-audience", "kj")
    node = serve(*jwt_flags(tmp_path, key), *flags)
    now = time.time()
    good = {"iss": "us", "aud": ["x", "kj"], "exp": now - 50, "nbf": now + 50, "iat": now + 50}
    assert call(node, token(key, good)).status_code == 200
    assert call(node, token(key, {**good, "aud": "kj"})).status_code == 200
    for change, said in (
        ({"exp": now - 150}, "The token has expired"),
        ({"nbf": now + 150}, "The token is not valid yet"),
        ({"iss": "them"}, "The token is of another issuer"),
        ({"iss": ["us"]}, "The token is of another issuer"),
        ({"iss": None}, "The token is of another issuer"),
        ({"aud": "kjx"}, "The token is for another audience"),
        ({"aud": []}, "The token is for another audience"),
        ({"aud": {"kj": 1}}, "The token is for another audience"),
    ):
        assert refusal(call(node, token(key, {**good, **change}))) == said


def unsigned(header, claims, signature=""):
    return f"{part(header)}.{part(claims)}.{signature}"


def test_the_algorithm_is_the_operators_choice(serve, tmp_path):
    """No header makes a public key a secret, and none is no signature."""
    pair = Rsa()
    node = serve(*jwt_flags(tmp_path, pair))
    said = "The token is not signed with the algorithm this server takes"
    public = pair.file()
    for secret in (public, public.rstrip(), public.replace(b"\n", b"")):
        for algorithm in ("HS256", "HS384", "HS512"):
            assert refusal(call(node, token(Secret(algorithm, secret), {"sub": "eve"}))) == said
        # The signature of a secret under the right name.
        lie = token(Secret("HS256", secret), {"sub": "eve"}, alg="RS256")
        assert refusal(call(node, lie)) == "The token is not valid"
    for name in ("none", "None", "NONE", "", "rs256", "RS384", "RS256 ", None, ["RS256"], 1):
        assert refusal(call(node, unsigned({"alg": name}, {"sub": "eve"}))) == said
        assert refusal(call(node, unsigned({"alg": name}, {"sub": "eve"}, "AAAA"))) == said
    assert refusal(call(node, unsigned({}, {}))) == said
    assert call(node, token(Rsa("RS384"), {})).status_code == 401
    assert call(node, token(Ec(), {})).status_code == 401
    assert call(node, unsigned({"alg": "RS256"}, {})).status_code == 401
    assert call(node, token(pair, {}, crit=["exp"], exp=1)).status_code == 401
    assert call(node, token(pair, {})).status_code == 200


def test_keys_that_do_not_fit_the_algorithm_are_refused(start, tmp_path):
    for key, algorithm, said in (
        (Rsa(), "HS256", "PEM"),
        (Ec(), "HS512", "PEM"),
        (Ec(), "RS256", "RSA"),
        (Rsa(), "ES256", "curve"),
        (Ec("ES384"), "ES256", "curve"),
        (Rsa(bits=1024), "RS256", "2048"),
        (Secret(secret=b"short"), "HS256", "32"),
        (Secret(), "RS256", "PEM"),
    ):
        path = write(tmp_path, "key", key.file())
        program = start(KUJATA, "serve", "--model", MODEL, "--jwt-alg", algorithm, "--jwt-key", path)
        assert program.wait() == 2
        assert said in program.stderr(), (algorithm, program.stderr())


@pytest.mark.parametrize(
    "jwks, said",
    [
        ("{", "JSON"),
        ({}, "key set"),
        ({"keys": {}}, "key set"),
        ({"keys": [Secret().jwk(), Ec().jwk(), "x", None]}, "no key for the algorithm"),
        ({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}, "2048"),
        ({"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]}, "OpenSSL"),
        ({"keys": [{"kty": "RSA"}]}, "OpenSSL"),
        ({"keys": [Rsa().jwk(use="enc"), Rsa().jwk(alg="RS512")]}, "no key for the algorithm"),
        ({"keys": [Rsa().jwk(key_ops=["sign"])]}, "no key for the algorithm"),
        ({"keys": [Rsa().jwk(kid="a"), Rsa().jwk(kid="a")]}, "twice"),
    ],
)
def test_bad_key_sets_are_refused(start, tmp_path, jwks, said):
    path = write(tmp_path, "jwks", jwks)
    program = start(KUJATA, "serve", "--model", MODEL, "--jwt-alg", "RS256", "--jwt-jwks", path)
    assert program.wait() == 2
    assert said in program.stderr()


def test_points_off_the_curve_are_refused(start, tmp_path):
    jwk = Ec().jwk()
    jwk["x"] = b64(b"\x01" * 32)
    path = write(tmp_path, "jwks", {"keys": [jwk]})
    program = start(KUJATA, "serve", "--model", MODEL, "--jwt-alg", "ES256", "--jwt-jwks", path)
    assert program.wait() == 2
    assert "OpenSSL" in program.stderr()


def test_one_key_of_a_set_needs_no_kid(serve, tmp_path):
    key = Ec()
    jwks = write(tmp_path, "jwks", {"keys": [Rsa().jwk(), key.jwk(kid="k"), Ec("ES384").jwk()]})
    node = serve("--jwt-alg", "ES256", "--jwt-jwks", jwks)
    assert call(node, token(key, {})).status_code == 200
    assert call(node, token(key, {}, kid="other")).status_code == 401


def broken_tokens(key):
    good = token(key, {"sub": "alice"})
    head, body, signature = good.split(".")
    deep = b"[" * 4000 + b"]" * 4000
    yield from (good[:cut] for cut in range(0, len(good), 7))
    yield from (f"{good}.", f".{good}", f"{good}.x", good + "A", good + "=", good + "\u00e9")
    yield from (f"{head}.{body}", f"{head}..{signature}", f".{body}.{signature}", "..", ".", "a.b.c")
    yield from (f"{head}.{body}.{signature[:-1]}", f"{head}.{body}.{signature}{signature}")
    yield f"{head}.{part({'sub': 'mallory'})}.{signature}"
    yield good.replace("_", "/").replace("-", "+") + "=="
    for payload in (b"[]", b"1", b'"x"', b"", b"{", b'{"a":1,"a":2}', b"\xff\xfe", b'{"a":"\xff"}'):
        yield unsigned({"alg": "HS256"}, payload, signature)
        signed = f"{head}.{part(payload)}"
        yield f"{signed}.{b64(key.sign(signed.encode()))}"
    for payload in (deep, b'{"a":' + deep + b"}", b'{"a":' * 900 + b"1" + b"}" * 900):
        signed = f"{head}.{part(payload)}"
        yield f"{signed}.{b64(key.sign(signed.encode()))}"
    yield f"{part(deep)}.{body}.{signature}"
    yield token(key, {"a": ["x"] * 200})
    yield token(key, {f"c{i}": i for i in range(200)})


def test_tokens_that_are_none_are_refused(hs):
    node, key = hs
    for text in broken_tokens(key):
        answer = call(node, text.encode().decode("latin-1") if not text.isascii() else text)
        assert answer.status_code in (401, 400, 431, 413), (text[:100], answer.status_code)
    assert call(node, token(key, {"sub": "alice"})).status_code == 200


def test_a_token_of_a_mebibyte_is_refused(hs):
    node, key = hs
    huge = token(key, {"a": "x" * (1 << 20)})
    try:
        assert call(node, huge).status_code >= 400
    except OSError:
        pass  # it was not even read
    with pytest.raises((Refused, OSError, AssertionError)):
        RawWebSocket(node.port, headers=bearer(huge))
    assert call(node, token(key, {})).status_code == 200


def test_claims_of_every_kind(serve, tmp_path):
    key = Secret()
    audit = tmp_path / "audit"
    node = serve(*jwt_flags(tmp_path, key), "--audit", str(audit))
    claims = {
        "sub": "\u00c5sa \U0001f600", "n": -7, "r": 1.5, "t": True, "f": False, "roles": ["a", 2, None],
        "exp": time.time() + HOUR, "jti": "1", "nothing": None, "deep": {"x": 1}, "empty": "", "a=b": "c", "": "d",
    }
    assert call(node, token(key, claims)).status_code == 200
    (line,) = audit.read_text("utf-8").splitlines()
    assert json.loads(line)["claims"] == [
        "sub=\u00c5sa \U0001f600", "n=-7", "r=1.5", "t=true", "f=false", "roles=a", "roles=2",
    ]


def test_tokens_and_jwt_stand_side_by_side(serve, tmp_path):
    key = Secret()
    node = serve(*jwt_flags(tmp_path, key), "--auth-tokens", write(tmp_path, "t", "good"))
    for text in ("good", token(key, {})):
        assert call(node, text).status_code == 200
        assert session_status(node, text) == 101
    for text in (None, "bad", token(Secret(), {})):
        assert call(node, text).status_code == 401
        assert session_status(node, text) == 401


def test_keys_are_read_again_on_sighup(serve, tmp_path):
    old, new = Ec(), Ec()
    node = serve(*jwt_flags(tmp_path, old))
    assert call(node, token(old, {})).status_code == 200
    jwt_flags(tmp_path, new)
    node.signal(signal.SIGHUP)
    eventually(lambda: call(node, token(new, {})).status_code == 200, what="the new key")
    assert call(node, token(old, {})).status_code == 401
    jwt_flags(tmp_path, Rsa())
    node.signal(signal.SIGHUP)
    eventually(lambda: "what was in force stays" in node.stderr(), what="the complaint")
    assert call(node, token(new, {})).status_code == 200


def test_a_session_ends_with_its_token(serve, tmp_path):
    key = Secret()
    node = serve(*jwt_flags(tmp_path, key), "--print-counters")
    soon = token(key, {"sub": "alice", "exp": time.time() + 3})
    plain = RawWebSocket(node.port, headers=bearer(soon))
    told = RawWebSocket(node.port, f"/events?enableErrors=true&token={soon}")
    opcode, payload = plain.message()
    assert opcode == CLOSE and struct.unpack(">H", payload[:2]) == (1008,)
    opcode, payload = told.message()
    assert opcode == TEXT and json.loads(payload)["type"] == "error"
    assert told.message()[0] == CLOSE
    assert node.counters()["sessions_closed_expired_total"] == 2


# ---- rules ----

RULES = {
    "rules": [
        {"claims": ["role=admin"]},
        {"claims": ["sub=*", "team=a"], "operations": ["retrieve-many", "retrieve"], "identities": ["task"]},
        {"operations": ["info"], "identities": ["list"]},
    ]
}
PEOPLE = "admin role=admin\nmember sub=x team=a\nother sub=y team=ab\nnobody\n"


def test_rules_say_who_may_do_what(serve, tmp_path):
    node = serve(
        "--auth-tokens", write(tmp_path, "t", PEOPLE), "--auth-rules", write(tmp_path, "r", RULES)
    )
    task = {"json": {"title": "x"}}
    for text, method, path, options, status in (
        ("admin", "POST", "/tasks", task, 200),
        ("member", "POST", "/tasks", task, 403),
        ("member", "GET", "/tasks", {}, 200),
        ("member", "GET", "/tasks/none", {}, 404),
        ("member", "GET", "/lists", {}, 403),
        ("other", "GET", "/tasks", {}, 403),
        ("nobody", "GET", "/tasks", {}, 403),
        ("nobody", "HEAD", "/lists", {}, 204),
        ("unknown", "HEAD", "/lists", {}, 401),
    ):
        answer = call(node, text, method, path=path, **options)
        assert answer.status_code == status, (text, method, path)
    (error,) = call(node, "nobody").json()
    assert error["description"] == "You are not allowed to access this resource."
    assert (error["title"], error["subject"]) == ("Forbidden", "bahamut")


def test_rules_say_who_hears_what(serve, tmp_path):
    rules = write(tmp_path, "r", RULES)
    node = serve("--auth-tokens", write(tmp_path, "t", PEOPLE), "--auth-rules", rules)
    sessions = {
        text: RawWebSocket(node.port, headers=bearer(text)) for text in ("admin", "member", "other")
    }
    for path, body in (("/lists", {"name": "l"}), ("/tasks", {"title": "t"})):
        assert call(node, "admin", "POST", path=path, json=body).status_code == 200
    heard = [json.loads(sessions["admin"].message()[1])["identity"] for _ in range(2)]
    assert heard == ["list", "task"]
    assert json.loads(sessions["member"].message()[1])["identity"] == "task"
    write(tmp_path, "r", {"rules": [{}]})
    node.signal(signal.SIGHUP)
    eventually(lambda: call(node, "other").status_code == 200, what="the new rules")
    assert call(node, "admin", "POST", path="/tasks", json={"title": "u"}).status_code == 200
    for text in ("member", "other"):
        assert json.loads(sessions[text].message()[1])["entity"]["title"] == "u"


@pytest.mark.parametrize(
    "rules, said",
    [
        ("{", "line 1"),
        ([], "rules"),
        ({"rules": [], "x": 1}, "rules"),
        ({"rules": [{}, 1]}, "rule 2"),
        ({"rules": [{"operation": ["info"]}]}, '"operation"'),
        ({"rules": [{"operations": ["read"]}]}, '"read"'),
        ({"rules": [{"operations": []}]}, "rule 1"),
        ({"rules": [{"operations": "info"}]}, "rule 1"),
        ({"rules": [{"claims": ["admin"]}]}, '"admin"'),
        ({"rules": [{"claims": [1]}]}, "rule 1"),
        ({"rules": [{"identities": ["tusk"]}]}, '"tusk"'),
    ],
)
def test_bad_rules_are_refused(start, tmp_path, rules, said):
    path = write(tmp_path, "r", rules)
    program = start(KUJATA, "serve", "--model", MODEL, "--auth-rules", path)
    assert program.wait() == 2
    assert said in program.stderr()


# ---- client certificates ----


@pytest.mark.skipif(
    os.environ.get("KUJATA_OWN_CIVETWEB") == "0", reason="built on a civetweb without TLS"
)
def test_a_certificate_is_enough_and_gives_claims(serve, tmp_path):
    authority, audit = Authority(tmp_path), tmp_path / "audit"
    certificate, key = authority.issue("server")
    alice = authority.issue("alice", subject="/O=Example/O=Second/OU=Ops/CN=alice")
    node = serve(
        "--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", authority.ca,
        "--tls-client-cert", "optional", "--auth-certificate", "--audit", str(audit),
        "--auth-tokens", write(tmp_path, "t", "good sub=bob\n"),
    )
    node.http.verify = authority.ca
    assert call(node).status_code == 401
    assert call(node, "good").status_code == 200
    node.http.close()
    node.http.cert = alice
    assert call(node).status_code == 200
    RawWebSocket(node.port, tls=authority.context(alice)).close()
    with pytest.raises(Refused):
        RawWebSocket(node.port, tls=authority.context())
    _, token_record, call_record, session_record, _ = records(audit)
    assert token_record["claims"] == ["sub=bob"]
    claims = call_record["claims"]
    assert re.fullmatch(r"@auth:serialnumber=\d+", claims.pop(2))
    assert claims == [
        "@auth:realm=certificate", "@auth:mode=internal", "@auth:commonname=alice",
        "@auth:organization=Example", "@auth:organization=Second", "@auth:organizationalunit=Ops",
    ]
    assert session_record["status"] == 101 and session_record["claims"] == call_record["claims"][:2] + [
        session_record["claims"][2], *call_record["claims"][2:],
    ]


@pytest.mark.skipif(
    os.environ.get("KUJATA_OWN_CIVETWEB") == "0", reason="built on a civetweb without TLS"
)
@pytest.mark.parametrize("tokens", [False, True])
def test_public_reads_leave_a_certificate_its_claims(serve, tmp_path, tokens):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    rules = {"rules": [{"claims": ["@auth:commonname=alice"]}]}
    node = serve(
        "--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", authority.ca,
        "--tls-client-cert", "optional", "--auth-certificate", "--auth-public-reads",
        "--auth-rules", write(tmp_path, "r", json.dumps(rules)),
        *(["--auth-tokens", write(tmp_path, "t", "good\n")] if tokens else []),
    )
    node.http.verify = authority.ca
    assert call(node).status_code == 403
    assert call(node, method="POST", json={"title": "x"}).status_code == 401
    node.http.close()
    node.http.cert = authority.issue("alice")
    assert call(node).status_code == 200
    assert call(node, method="POST", json={"title": "x"}).status_code == 200


# ---- what is written down ----


def records(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_calls_and_sessions_are_audited(serve, tmp_path):
    audit = tmp_path / "audit"
    tokens = write(tmp_path, "t", "good sub=alice email=a@example.org accessToken=zzz\n")
    node = serve("--auth-tokens", tokens, "--audit", str(audit), "--print-counters")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = call(node, "good", method="POST", json={"title": "x"}, headers={"traceparent": trace})
    identifier = answer.json()["ID"]
    call(node, "good", path=f"/tasks/{identifier}", headers={"X-Namespace": "/a b"})
    call(node)
    call(node, "good", method="POST", json={"title": "x", "status": "lost"})
    call(node, path="/nothing")
    session_status(node, "good", path="/events?namespace=/n")
    session_status(node)
    claims = ["sub=alice", "email=***", "accessToken=***"]
    seen = records(audit)
    assert len(seen) == 6
    for record in seen:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
        assert record.pop("remoteAddress") == "127.0.0.1"
        assert isinstance(record.pop("durationUS"), int)
        assert re.fullmatch(r"[-0-9a-f]{36}", record.pop("request", None) or record.pop("session"))
    create = {"kind": "operation", "operation": "create", "identity": "task"}
    assert seen[0] == {**create, "claims": claims, "status": 200, "traceparent": trace}
    assert seen[1] == {
        "kind": "operation", "operation": "retrieve", "identity": "task", "objectID": identifier,
        "namespace": "/a b", "claims": claims, "status": 200,
    }
    assert seen[2] == {
        "kind": "operation", "operation": "retrieve-many", "identity": "task", "status": 401,
        "error": "Unauthorized",
    }
    assert seen[3] == {**create, "claims": claims, "status": 422, "error": "Validation Error"}
    assert seen[4] == {"kind": "session", "namespace": "/n", "claims": claims, "status": 101}
    assert seen[5] == {"kind": "session", "status": 401, "error": "Unauthorized"}
    assert (audit.stat().st_mode & 0o777) == 0o600
    assert node.counters()["audit_records_total"] == 6


def test_the_audit_file_is_opened_again_on_sighup(serve, tmp_path):
    audit, moved = tmp_path / "audit", tmp_path / "moved"
    node = serve("--audit", str(audit))
    call(node)
    audit.rename(moved)
    call(node)
    node.signal(signal.SIGHUP)
    eventually(audit.exists, what="the new file")
    eventually(lambda: call(node) and audit.read_text(), what="a record in it")
    assert len(records(moved)) >= 2


def test_a_full_disk_does_not_stop_the_server(serve):
    node = serve("--audit", "/dev/full", "--print-counters")
    assert call(node).status_code == 200
    assert call(node).status_code == 200
    assert "--audit" in node.stderr() and "lost" in node.stderr()
    assert node.counters()["audit_records_lost_total"] == 2


def test_no_secret_is_ever_logged(serve, tmp_path):
    """Good and bad tokens, wherever they come from, stay out of stderr and of the audit."""
    key, audit = Secret(), tmp_path / "audit"
    node = serve(
        *jwt_flags(tmp_path, key), "--auth-tokens", write(tmp_path, "t", "HUSHgood sub=x\n"),
        "--auth-cookie", "sid", "--auth-query", "--audit", str(audit),
    )
    jwt = token(key, {"sub": "alice"})
    bad = token(Secret(), {"sub": "alice"})
    for text in ("HUSHgood", "HUSHbad", jwt, bad, jwt[:-9]):
        call(node, text)
        call(node, headers={"Cookie": f"sid={text}"})
        call(node, headers={"Authorization": f"Basic {text} {text}"})
        call(node, path=f"/tasks?token={text}")
        call(node, path=f"/nothing?token={text}")
        call(node, text, path="/tasks?page=x")
        session_status(node, text)
        session_status(node, headers={"Cookie": f"sid={text}"})
        session_status(node, path=f"/events?token={text}")
        session_status(node, text, path=f"/events?token={text}", headers={"Accept": "x/y"})
        session_status(node, text, headers={"Origin": "http://foe.example"})
    written = node.stderr() + audit.read_text()
    assert "was not authenticated" in written
    for secret in ("HUSH", jwt.split(".")[1], jwt.split(".")[2], bad.split(".")[2]):
        assert secret not in written
