"""Waiting for conditions, never for time to pass."""

import threading
import time


def eventually(condition, seconds=20.0, what="the condition"):
    """Returns the first true value of condition(); fails when none comes in time."""
    pause = threading.Event()
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {seconds} s"
        pause.wait(0.005)
