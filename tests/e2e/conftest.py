"""Fixtures: nodes and brokers that are gone, and ended well, after the test."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))

from programs import Broker, Node, Program, find_broker  # noqa: E402


def _stop_all(programs):
    failure = None
    for program in reversed(programs):
        try:
            program.stop()
        except AssertionError as error:
            failure = failure or error
    if failure:
        raise failure


@pytest.fixture
def serve():
    """serve(*flags) starts a node."""
    nodes = []

    def start(*flags, **options):
        nodes.append(Node(*flags, **options))
        return nodes[-1]

    yield start
    _stop_all(nodes)


@pytest.fixture(scope="module")
def node():
    """One node with the defaults, shared by the tests of a file."""
    started = Node()
    yield started
    started.stop()


@pytest.fixture
def broker():
    if not find_broker():
        pytest.skip("there is no nats-server")
    started = Broker()
    yield started
    started.stop()


@pytest.fixture
def start():
    """start(*command) runs any program."""
    programs = []

    def run(*command):
        programs.append(Program(*command))
        return programs[-1]

    yield run
    for program in programs:
        if program.process.poll() is None:
            program.process.kill()
            program.wait()
