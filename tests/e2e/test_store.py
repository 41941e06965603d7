"""Storage in a SQLite file: what was answered is there after kill -9, and what a file that is
held, full or damaged does to requests and to push."""

import contextlib
import http.client
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import threading

import pytest

import subscribers
from deadline import eventually
from programs import KUJATA, MODEL, SANITIZED, Node

KILLS = int(os.environ.get("KUJATA_STORE_KILLS", "40" if SANITIZED else "200"))
CLIENTS = 4


def store(path, *flags):
    return "--store", f"sqlite:{path}", *flags


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "store.db")


def refusal(answer, code):
    assert answer.status_code == code, answer.text
    error = answer.json()[0]
    assert error["code"] == code and error["title"] and error["description"], error
    return error


def test_objects_are_there_after_a_restart(serve, path):
    first = serve(*store(path))
    parent = first.create("/lists", name="a list")
    child = first.create(f"/lists/{parent['ID']}/tasks", title="kept", number=7)
    gone = first.create("/tasks", title="gone")
    assert first.request("DELETE", f"/tasks/{gone['ID']}").status_code in (200, 204)
    assert first.request("PATCH", f"/tasks/{child['ID']}", json={"number": 8}).status_code == 200
    first.stop()

    second = serve(*store(path))
    assert second.request("GET", f"/tasks/{child['ID']}").json() == {**child, "number": 8}
    assert second.request("GET", f"/tasks/{gone['ID']}").status_code == 404
    listed = second.request("GET", f"/lists/{parent['ID']}/tasks")
    assert [task["ID"] for task in listed.json()] == [child["ID"]]
    assert second.request("HEAD", "/tasks").headers["X-Count-Total"] == "1"


def test_pages_and_filters_go_by_the_file(serve, path):
    node = serve(*store(path))
    for number in range(30):
        node.create("/tasks", title=f"t{number % 4}", number=number, due="2021-03-04T00:00:00Z")
    query = {"order": "-title", "limit": 4, "q": "number >= 10 and title matches '^t[12]'"}
    seen = []
    while "after" not in query or query["after"]:
        answer = node.request("GET", "/tasks", params=query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["X-Count-Total"] == "10"
        seen += [(task["title"], task["number"]) for task in answer.json()]
        query["after"] = answer.headers.get("X-Next")
    assert seen == [("t2", n) for n in range(10, 30, 4)] + [("t1", n) for n in range(13, 30, 4)]


def test_the_longest_filters_fit_the_stacks_of_workers(serve, path):
    node = serve(*store(path))
    node.create("/tasks", title="x", number=7)
    nested = "(number == 1 or " * 31 + "number == 7" + ")" * 31
    flat = " or ".join(f"number == {n}" for n in range(127, -1, -1))
    values = "number in [" + ", ".join(str(n) for n in range(255, -1, -1)) + "]"
    keys = ["title", "number", "-done", "due", "-status"]
    for text in (nested, flat, values):
        assert len(text) <= 4096
        for order in ([], keys):
            answer = node.request("GET", "/tasks", params={"q": text, "order": order})
            assert answer.status_code == 200, answer.text
            assert answer.headers["X-Count-Total"] == "1"


# ---- kill -9 ----


class Client(threading.Thread):
    """Writes until the server is gone, and keeps what it was answered."""

    def __init__(self, port, collection, answered):
        super().__init__(daemon=True)
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.collection = collection
        self.answered = answered  # a semaphore: one for each answer
        self.objects = {}  # by ID: the number that was answered, None once deleted
        self.pending = None  # the ID and number of the write that had no answer
        self.random = random.Random(port)

    def call(self, method, path, body=None):
        text = json.dumps(body) if body is not None else None
        self.http.request(method, path, text, {"Content-Type": "application/json"})
        answer = self.http.getresponse()
        content = answer.read()
        assert answer.status in (200, 204), content
        return json.loads(content) if content else None

    def write(self):
        living = [known for known, number in self.objects.items() if number is not None]
        choice = self.random.random()
        number = self.random.randrange(1, 1000000)
        if choice < 0.6 or not living:
            self.pending = (None, number)
            made = self.call("POST", self.collection, {"title": "t", "number": number})
            self.objects[made["ID"]] = number
        elif choice < 0.9:
            self.pending = (self.random.choice(living), number)
            self.call("PUT", f"/tasks/{self.pending[0]}", {"title": "t", "number": number})
            self.objects[self.pending[0]] = number
        else:
            self.pending = (self.random.choice(living), None)
            self.call("DELETE", f"/tasks/{self.pending[0]}")
            self.objects[self.pending[0]] = None
        self.pending = None
        self.answered.release()

    def run(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                self.write()


def write_until_killed(node, parent):
    answered = threading.Semaphore(0)
    clients = [Client(node.port, f"/lists/{parent}/tasks", answered) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for _ in range(random.randrange(1, 60)):
        assert answered.acquire(timeout=60)
    node.signal(signal.SIGKILL)
    node.wait()
    for client in clients:
        client.join(60)
        client.http.close()
    return clients


def check(node, parent, clients):
    """Every answered write is there; one without an answer is there whole, or not at all."""
    listed = node.request("GET", f"/lists/{parent}/tasks")
    there = {task["ID"]: task["number"] for task in listed.json()}
    assert int(listed.headers["X-Count-Total"]) == len(there)
    open_creates = [client.pending[1] for client in clients if client.pending]
    for client in clients:
        for known, number in client.objects.items():
            allowed = [number]
            if client.pending and client.pending[0] == known:
                allowed.append(client.pending[1])
            assert there.pop(known, None) in allowed, (known, allowed)
    assert all(number in open_creates for number in there.values()), there


def test_answered_writes_survive_kill_9(path):
    answered = 0
    for _ in range(KILLS):
        node = Node(*store(path))
        parent = node.create("/lists", name="a round")["ID"]
        clients = write_until_killed(node, parent)
        node = Node(*store(path))
        check(node, parent, clients)
        node.process.kill()
        node.wait()
        answered += sum(len(client.objects) for client in clients)
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    print(f"{KILLS} kills, {answered} objects answered, none lost")


# ---- faults ----


def lines_about(node, text):
    return [line for line in node.stderr().splitlines() if text in line]


def test_a_file_that_another_process_holds_is_a_503_and_push_goes_on(serve, path):
    node = serve(*store(path, "--store-busy-ms", "100", "--print-counters"))
    task = node.create("/tasks", title="before")

    async def hold_the_file():
        async with subscribers.connect(node) as session:
            await subscribers.subscribe(session, {"identities": {"task": None}})
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                answer = await subscribers.request(node, "POST", "/tasks", json={"title": "x"})
                assert "busy" in refusal(answer, 503)["description"]
                read = await subscribers.request(node, "GET", f"/tasks/{task['ID']}")
                assert read.json() == task
                listed = await subscribers.request(node, "GET", "/tasks")
                assert listed.headers["X-Count-Total"] == "1"
                await (await session.ping())
                other.execute("COMMIT")
            made = await subscribers.create(node, title="after")
            event = await subscribers.receive(session)
            assert event["entity"]["ID"] == made["ID"]

    subscribers.run(hold_the_file())
    assert len(lines_about(node, "--store-busy-ms")) == 1
    counters = node.counters()
    assert counters["store_busy_total"] == 1
    assert counters["http_errors_5xx_total"] == 1


def fill(node):
    """Creates until there is no room. Returns the IDs made and the refusal."""
    made = []
    while True:
        answer = node.request("POST", "/tasks", json={"title": "x" * 20000})
        if answer.status_code != 200:
            return made, answer
        made.append(answer.json()["ID"])
        assert len(made) < 10000


def check_full(node):
    made, answer = fill(node)
    assert made
    assert "full" in refusal(answer, 507)["description"]
    assert node.request("GET", f"/tasks/{made[-1]}").status_code == 200
    assert node.request("HEAD", "/tasks").headers["X-Count-Total"] == str(len(made))
    assert len(lines_about(node, "--store-max-megabytes")) == 1
    return made


def test_a_file_at_its_limit_is_a_507_until_something_is_deleted(serve, path):
    node = serve(*store(path, "--store-max-megabytes", "1", "--print-counters"))
    made = check_full(node)
    for known in made[:3]:
        assert node.request("DELETE", f"/tasks/{known}").status_code in (200, 204)
    node.create("/tasks", title="x" * 20000)
    assert node.counters()["store_full_total"] >= 1


def test_a_full_disk_is_a_507_until_there_is_room(serve, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 200000)
        node = serve(*store(disk / "store.db"))
        check_full(node)
        ballast.unlink()
        eventually(lambda: node.request("POST", "/tasks", json={"title": "y"}).status_code == 200)
        node.stop()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def overwrite_middle(path):
    """The pages of a third of the file, behind the schema's and before the latest."""
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(size // 3)
        file.write(os.urandom(size // 3))


def test_a_damaged_file_is_a_500_where_it_is_damaged(serve, path):
    node = serve(*store(path))
    tasks = [node.create("/tasks", title=f"t{n}", status="open") for n in range(400)]
    node.stop()
    overwrite_middle(path)

    node = serve(*store(path, "--print-counters"))
    answers = [node.request("GET", f"/tasks/{task['ID']}") for task in tasks]
    failed = [answer for answer in answers if answer.status_code != 200]
    assert failed
    for answer in failed:
        if answer.status_code != 404:  # a damaged index may have lost it
            assert "failed" in refusal(answer, 500)["description"]
    assert any(answer.status_code == 500 for answer in failed)
    assert lines_about(node, "backup")

    async def push_goes_on():
        async with subscribers.connect(node) as session:
            await (await session.ping())

    subscribers.run(push_goes_on())
    assert node.counters()["store_failed_total"] >= 1


def start_fails(path):
    command = [KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0", *store(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("kujata serve: --store: "), done.stderr
    return done.stderr


def test_files_that_are_no_storage_are_refused(serve, path):
    with open(path, "wb") as file:
        file.write(os.urandom(8192))
    assert re.search(r"store\.db: .*not a database", start_fails(path))

    os.unlink(path)
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE other(x)")
    assert "not one of kujata's" in start_fails(path)


def test_a_file_of_a_later_version_is_refused(serve, path):
    serve(*store(path)).stop()
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")
    assert "made by a later kujata" in start_fails(path)


def test_what_the_store_counts_is_in_the_metrics(serve, path):
    node = serve(*store(path, "--health", "127.0.0.1:0"))
    port = re.search(r":(\d+)$", node.line())[1]
    node.create("/tasks", title="one")
    text = node.http.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    assert "# TYPE store_writes_total counter\nstore_writes_total 1\n" in text
    assert "\nstore_commits_total 1\n" in text
