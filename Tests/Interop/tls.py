"""Certificate authorities of tests, by the commands of OpenSSL."""

import base64
import hashlib
import os
import pathlib
import re
import ssl
import subprocess


def openssl(*words, text=None, timeout=20):
    return subprocess.run(["openssl", *words], input=text, text=True, capture_output=True, timeout=timeout)


def pin(certificate):
    """The hash of a certificate's public key (RFC 7469 §2.4), by which Chromium can be told to trust it."""
    key = openssl("x509", "-in", certificate, "-noout", "-pubkey").stdout
    spki = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=key.encode(), capture_output=True, check=True).stdout
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder, name="ca", kind="rsa:2048"):
        self.folder = pathlib.Path(folder)
        self.certificate, self.key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        self.run("req", "-x509", "-newkey", kind, "-nodes", "-keyout", self.key, "-out", self.certificate,
                 "-subj", f"/CN={name}", "-days", "30", "-addext", "keyUsage=critical,keyCertSign")

    def run(self, *words):
        outcome = openssl(*map(str, words))
        assert outcome.returncode == 0, outcome.stderr

    def issue(self, file, *names, days=30, kind="rsa:2048", digest=None):
        """Writes `file`.crt and `file`.key for the names, and returns their paths."""
        certificate, key, request = (self.folder / f"{file}.{kind_}" for kind_ in ("crt", "key", "csr"))
        how = ["-newkey", kind] if kind.startswith("rsa") else ["-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{kind}"]
        extensions = self.folder / f"{file}.ext"
        extensions.write_text("subjectAltName=" + ",".join(
            ("IP:" if re.fullmatch(r"[\d.]+", name) else "DNS:") + name for name in names))
        draft, draft_key = f"{certificate}.new", f"{key}.new"
        self.run("req", *how, "-nodes", "-keyout", draft_key, "-out", request, "-subj", f"/CN={names[0]}")
        self.run("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                 "-days", str(days), "-extfile", extensions, "-out", draft, *([f"-{digest}"] if digest else []))
        os.replace(draft_key, key)
        os.replace(draft, certificate)
        return str(certificate), str(key)

    def context(self, pair=None):
        context = ssl.create_default_context(cafile=str(self.certificate))
        if pair:
            context.load_cert_chain(*pair)
        return context
