"""The API listener of a node, for tests that ask it."""

import re

import requests

KEY = "the-key-of-the-tests"


class Api:
    """Reads the line the node prints; to be made before other lines are read."""

    def __init__(self, node, key=KEY):
        line = node.line()
        match = re.fullmatch(r"kujata: API on (https?://\S+:\d+)", line or "")
        assert match, line
        self.url = match[1]
        self.http = requests.Session()
        self.http.trust_env = False
        if key:
            self.http.headers["Authorization"] = f"Bearer {key}"

    def request(self, method, path, **options):
        return self.http.request(method, self.url + path, timeout=30, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, **options):
        return self.request("POST", path, **options)


def api_flags(key=KEY):
    return ("--api", "127.0.0.1:0", "--api-key", key)
