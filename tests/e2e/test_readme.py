"""The README's snippets are cut from the files they show."""

import os
import re

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def test_the_forty_lines_are_examples_minimal_c():
    blocks = re.findall(r"^```c\n(.*?)^```$", read("README.md"), re.S | re.M)
    assert read("examples", "minimal.c") in blocks


def test_the_websocket_client_is_examples_watch_py():
    blocks = re.findall(r"^```python\n(.*?)^```$", read("README.md"), re.S | re.M)
    assert read("examples", "watch.py") in blocks


def test_the_commands_named_exist():
    for script in ("scripts/run", "scripts/test"):
        assert script in read("README.md")
        assert os.access(os.path.join(ROOT, script), os.X_OK)


def test_running_md_lists_every_flag():
    files = ("serve_settings.c", "serve_http.c", "serve_security.c", "serve_store.c", "spec.c")
    files += ("sub.c",)
    source = "".join(read("app", file) for file in files)
    flags = re.findall(r'OPTION\("(--[a-z-]+[a-z])"', source)
    flags += ["--limit-" + name for name in re.findall(r'LIMIT\("([a-z-]+)"', source)]
    table = read("docs", "running.md")
    assert len(flags) > 90
    assert [flag for flag in flags if f"`{flag}" not in table] == []
