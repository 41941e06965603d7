"""The soak of bench/, for seconds: nothing is left over and nobody loses an event."""

import os

from programs import SANITIZED

SOAK = os.path.join(os.path.dirname(__file__), "..", "..", "bench", "soak")


def test_nothing_is_left_over_after_a_short_soak(start):
    # The sanitizers keep freed memory back, so that only descriptors and threads say something.
    margin = "1000" if SANITIZED else "4"
    soak = start(SOAK, "--minutes", "0.25", "--sessions", "60", "--margin-mb", margin)
    assert soak.wait(240) == 0, soak.stderr()
    assert soak.line().startswith("start")
