"""Other people's opinion of our documents: validators from npm, and JSON Schema for answers."""

import base64
import datetime
import filecmp
import os
import shutil
import subprocess

import jsonschema
import msgpack
import pytest

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spec-validators")
FILES = ("package.json", "package-lock.json")


def installed(folder):
    """The folder with the packages that the lock file names, installed unless they are there."""
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("there is no npm")
    stamp = os.path.join(folder, "installed.json")
    lock = os.path.join(SOURCE, "package-lock.json")
    if os.path.exists(stamp) and filecmp.cmp(stamp, lock, shallow=False):
        return folder
    os.makedirs(folder, exist_ok=True)
    for name in FILES:
        shutil.copy(os.path.join(SOURCE, name), folder)
    # No script of a package runs.
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    shutil.copy(lock, stamp)
    return folder


def faults(folder, *paths):
    """What the validators say, a line each."""
    done = subprocess.run(
        ["node", os.path.join(SOURCE, "check.mjs"), *(os.path.abspath(path) for path in paths)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, 1) and not done.stderr, done.stderr
    lines = done.stdout.splitlines()
    assert bool(lines) == (done.returncode == 1)
    return lines


formats = jsonschema.FormatChecker(formats=())


@formats.checks("date-time", raises=ValueError)
def is_time(value):
    if isinstance(value, str):
        assert datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).tzinfo
    return True


class Schemas:
    """The schemas of a document, by which values are judged."""

    def __init__(self, document, draft):
        self.document = document
        self.draft = draft
        self.resolver = jsonschema.RefResolver("", document)

    def follow(self, node):
        while "$ref" in node:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def faults(self, value, schema):
        checker = self.draft(schema, resolver=self.resolver, format_checker=formats)
        return [error.message for error in checker.iter_errors(value)]

    def check(self, value, schema):
        """Insists that it fits, and that no member is one the schema does not know."""
        assert not self.faults(value, schema), (value, self.faults(value, schema))
        followed = self.follow(schema)
        for item in value if isinstance(value, list) else ():
            self.check(item, followed["items"])
        if isinstance(value, dict):
            assert set(value) <= set(followed["properties"]), value


def as_json(value):
    """What MessagePack has, as schemas write it: times as text, bytes as base64."""
    if isinstance(value, dict):
        return {key: as_json(member) for key, member in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, msgpack.Timestamp):
        return value.to_datetime().isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value
