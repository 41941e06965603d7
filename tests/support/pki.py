"""Certificates of an authority of the test's own, made with the openssl program."""

import os
import ssl
import subprocess

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(*arguments):
    done = subprocess.run(("openssl", *arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Authority:
    """An authority in a folder; `ca` is its certificate."""

    def __init__(self, folder, name="authority"):
        self.folder, self.name = str(folder), name
        self.ca, self.key = self.path(f"{name}.pem"), self.path(f"{name}.key")
        _openssl(
            "req", "-x509", *KEY, "-keyout", self.key, "-out", self.ca, "-days", "2",
            "-subj", f"/CN={name}",
        )

    def path(self, name):
        return os.path.join(self.folder, name)

    def issue(self, name, subject=None, names="DNS:localhost,IP:127.0.0.1,IP:::1", into=None):
        """The certificate and the key of `name`, in files called `into` or the same."""
        request, into = self.path(f"{self.name}-{name}.csr"), into or name
        certificate, key = self.path(f"{into}.pem"), self.path(f"{into}.key")
        extensions = self.path(f"{self.name}-{name}.ext")
        with open(extensions, "w", encoding="ascii") as file:
            file.write(f"subjectAltName={names}\n")
        _openssl(
            "req", *KEY, "-keyout", key, "-out", request, "-subj", subject or f"/CN={name}"
        )
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial",
            "-out", certificate, "-days", "2", "-extfile", extensions,
        )
        return certificate, key

    def context(self, client=None):
        """For a client that trusts this authority and shows `client`, a certificate and a key."""
        made = ssl.create_default_context(cafile=self.ca)
        if client:
            made.load_cert_chain(*client)
        return made
