"""The service of docs/migration.md, as a C program and as files for `kujata serve`."""

import json
import os

import pytest
import requests

from deadline import eventually
from programs import KUJATA, free_port
from rawws import RawWebSocket

FILES = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "migration")
MODEL, TOKENS, RULES = (os.path.join(FILES, name) for name in ("tickets.json", "tokens", "rules.json"))
ALICE = {"Authorization": "Bearer alices-token"}
BOB = {"Authorization": "Bearer bobs-token"}


def answers(program, url):
    assert program.process.poll() is None, program.stderr()
    try:
        return requests.get(url, timeout=30).status_code == 401
    except requests.ConnectionError:
        return False


@pytest.fixture
def program(start):
    """The C program's port."""
    port = free_port()
    tickets = start(os.environ["KUJATA_TICKETS"], MODEL, TOKENS, f"127.0.0.1:{port}")
    eventually(lambda: answers(tickets, f"http://127.0.0.1:{port}/tickets"), what="a 401")
    yield port
    tickets.stop()


@pytest.fixture
def files(serve):
    """The same of `kujata serve` with nothing but the files."""
    command = [KUJATA, "serve", "--listen", "127.0.0.1:0", "--model", MODEL]
    return serve(program=command + ["--auth-tokens", TOKENS, "--auth-rules", RULES]).port


def create(port, who, **ticket):
    return requests.post(f"http://127.0.0.1:{port}/tickets", json=ticket, headers=who, timeout=30)


def delete(port, who, ticket):
    return requests.delete(f"http://127.0.0.1:{port}/tickets/{ticket['ID']}", headers=who, timeout=30)


def titles(session, count):
    return [json.loads(session.message()[1])["entity"]["title"] for _ in range(count)]


def test_the_program_knows_who_reports_and_who_hears(program):
    alice, bob = (RawWebSocket(program, headers=who) for who in (ALICE, BOB))
    ticket = create(program, BOB, title="printer", reporter="the boss").json()
    assert ticket["reporter"] == "bob"
    assert create(program, ALICE, title="budget", internal=True).status_code == 200
    assert create(program, ALICE, title="paper").status_code == 200
    assert titles(alice, 3) == ["printer", "budget", "paper"]
    assert titles(bob, 2) == ["printer", "paper"]
    alice.close()
    bob.close()


def test_only_staff_deletes_in_either(program, files):
    for port in (program, files):
        ticket = create(port, BOB, title="printer").json()
        assert delete(port, BOB, ticket).status_code == 403
        assert delete(port, ALICE, ticket).status_code == 200


def test_a_token_is_asked_for_in_either(program, files):
    for port in (program, files):
        assert create(port, {}, title="printer").status_code == 401
        assert create(port, {"Authorization": "Bearer nobodys"}, title="printer").status_code == 401
        assert create(port, BOB, title="").status_code == 422
