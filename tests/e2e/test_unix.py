"""Sockets of the file system: REST and push as over TCP, and what becomes of the file."""

import http.client
import json
import os
import socket
import stat
import subprocess
import threading

import pytest

from pki import Authority
from programs import KUJATA, MODEL
from rawws import RawWebSocket

CLIENTS = 200


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, tls=None):
        super().__init__("localhost", timeout=30)
        self.path, self.tls = path, tls

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)
        if self.tls:
            self.sock = self.tls.wrap_socket(self.sock, server_hostname="127.0.0.1")

    def ask(self, method, path, body=None, **headers):
        headers["Content-Type"] = "application/json"
        self.request(method, path, json.dumps(body) if body else None, headers)
        answer = self.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "kujata.sock")


def test_rest_and_push_as_over_tcp(serve, path):
    node = serve("--listen-unix", path)
    session, other = RawWebSocket(path), RawWebSocket(node.port)
    client = UnixConnection(path)
    for title in ("one", "two"):
        assert client.ask("POST", "/tasks", {"title": title})[0] == 200
    node.create(title="three")
    for heard in (session, other):
        titles = [json.loads(heard.message()[1])["entity"]["title"] for _ in range(3)]
        assert titles == ["one", "two", "three"]
        heard.close()
    status, body = client.ask("GET", "/tasks")
    assert status == 200 and len(json.loads(body)) == 3


def test_each_of_many_clients_gets_its_own_answer(serve, path):
    serve("--listen-unix", path)
    wrong = []

    def write_and_read(number):
        client = UnixConnection(path)
        made = json.loads(client.ask("POST", "/tasks", {"title": f"t{number}"})[1])
        session = RawWebSocket(path)
        read = json.loads(client.ask("GET", f"/tasks/{made['ID']}")[1])
        session.close()
        client.close()
        if read["title"] != f"t{number}":
            wrong.append(read)

    threads = [threading.Thread(target=write_and_read, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_silent_clients_hold_no_worker(serve, path):
    serve("--listen-unix", path, "--http-threads", "2")
    silent = [socket.socket(socket.AF_UNIX) for _ in range(50)]
    for each in silent:
        each.connect(path)
    assert UnixConnection(path).ask("GET", "/tasks")[0] == 200
    for each in silent:
        each.close()


def test_a_proxy_on_the_socket_may_say_for_whom_it_asks(serve, path):
    flags = ("--trusted-proxy", "0.0.0.0", "--rate-limit-handshakes-per-address", "1/1")
    node = serve("--listen-unix", path, *flags)
    for address in ("192.0.2.1", "192.0.2.2"):
        RawWebSocket(path, headers={"X-Forwarded-For": address}).close()
    RawWebSocket(node.port).close()


def test_tls_is_spoken_where_the_other_listener_speaks_it(serve, path, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    serve("--listen-unix", path, "--tls-cert", certificate, "--tls-key", key)
    context = authority.context()
    assert UnixConnection(path, context).ask("GET", "/tasks")[0] == 200
    session = RawWebSocket(path, tls=context)
    assert UnixConnection(path, context).ask("POST", "/tasks", {"title": "heard"})[0] == 200
    assert json.loads(session.message()[1])["entity"]["title"] == "heard"
    session.close()


def test_the_file_goes_with_the_server(serve, path):
    node = serve("--listen-unix", path)
    assert stat.S_ISSOCK(os.lstat(path).st_mode)
    node.stop()
    assert not os.path.exists(path)


def test_a_file_left_behind_is_replaced(serve, path):
    first = serve("--listen-unix", path)
    first.process.kill()
    first.process.wait()
    first.stop = lambda: None  # or that it was killed would be a failure
    assert os.path.exists(path)
    serve("--listen-unix", path)
    assert UnixConnection(path).ask("GET", "/tasks")[0] == 200


def test_the_socket_and_the_file_of_others_are_left_alone(serve, path, tmp_path):
    serve("--listen-unix", path)
    note = tmp_path / "note"
    note.write_text("mine")
    for taken in (path, str(note), str(tmp_path / "nowhere" / "a.sock"), "x" * 200):
        command = [KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0"]
        run = subprocess.run([*command, "--listen-unix", taken], capture_output=True, text=True)
        assert run.returncode in (1, 2), run
        assert "--listen-unix" in run.stderr and taken in run.stderr, run.stderr
    assert note.read_text() == "mine"
    assert UnixConnection(path).ask("GET", "/tasks")[0] == 200
