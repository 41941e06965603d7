"""JSON Web Tokens and key sets, made independently of the server's libraries."""

import base64
import hashlib
import hmac
import json
import os

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES = {"256": ec.SECP256R1, "384": ec.SECP384R1, "512": ec.SECP521R1}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value):
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def number(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Secret:
    def __init__(self, algorithm="HS256", secret=None):
        self.algorithm, self.secret = algorithm, secret or os.urandom(64)

    def sign(self, data):
        return hmac.new(self.secret, data, "sha" + self.algorithm[2:]).digest()

    def file(self):
        return self.secret + b"\n"  # which does not count

    def jwk(self, **members):
        return {"kty": "oct", "k": b64(self.secret), **members}


class _Pair:
    def file(self):
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


class Rsa(_Pair):
    def __init__(self, algorithm="RS256", bits=2048):
        self.algorithm = algorithm
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=bits)

    def sign(self, data):
        return self.key.sign(data, padding.PKCS1v15(), HASHES[self.algorithm[2:]]())

    def jwk(self, **members):
        public = self.key.public_key().public_numbers()
        return {"kty": "RSA", "n": number(public.n), "e": number(public.e), **members}


class Ec(_Pair):
    def __init__(self, algorithm="ES256"):
        self.algorithm = algorithm
        self.key = ec.generate_private_key(CURVES[algorithm[2:]]())
        self.size = (self.key.curve.key_size + 7) // 8

    def sign(self, data):
        pair = utils.decode_dss_signature(
            self.key.sign(data, ec.ECDSA(HASHES[self.algorithm[2:]]()))
        )
        return b"".join(value.to_bytes(self.size, "big") for value in pair)

    def jwk(self, **members):
        public = self.key.public_key().public_numbers()
        curve = {32: "P-256", 48: "P-384", 66: "P-521"}[self.size]
        x, y = number(public.x, self.size), number(public.y, self.size)
        return {"kty": "EC", "crv": curve, "x": x, "y": y, **members}


def token(key, claims, **header):
    """A token of these claims; `header` adds to its header or replaces what is in it."""
    head = part({"alg": key.algorithm, "typ": "JWT", **header})
    signed = f"{head}.{part(claims)}"
    return f"{signed}.{b64(key.sign(signed.encode()))}"


def sha256(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
