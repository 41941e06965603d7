"""--profile: what clients may speak."""

import json

import pytest

from programs import KUJATA, MODEL
from rawws import RawWebSocket

SERVE = (KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0")


def fault(start, *flags):
    """The one line a wrong command line is answered with."""
    program = start(*SERVE, *flags)
    assert program.wait() == 2, program.stderr()
    (line,) = program.stderr().splitlines()
    return line


@pytest.mark.parametrize("stream", ["3101", "goim=nowhere:3101", "127.0.0.1"])
def test_a_stream_without_an_address_is_refused(start, stream):
    assert f'--tcp: "{stream}" is not' in fault(start, "--profile", "goim", "--gateway-open", "--tcp", stream)


def test_an_unknown_profile_is_answered_with_those_there_are(start):
    line = fault(start, "--profile", "native", "--profile", "carrier-pigeon")
    assert '"carrier-pigeon"' in line
    assert "native" in line.split("there are: ")[1]


@pytest.mark.parametrize("flag", ["--tcp", "--tcp-tls"])
@pytest.mark.parametrize("stream", ["127.0.0.1:0", "native=127.0.0.1:0", "strange=127.0.0.1:0"])
def test_a_stream_of_no_profile_that_has_streams_is_refused(start, flag, stream):
    line = fault(start, "--profile", "native", "--tls-cert", "x", flag, stream)
    assert f'{flag}: "{stream}"' in line


def test_the_profile_native_is_the_gateway(serve):
    node = serve("--profile", "native", "--profile=native", "--gateway", "--gateway-open")
    client = RawWebSocket(node.port, path="/connect")
    assert json.loads(client.message()[1])["type"] == "WELCOME"
    client.close()
