"""Who signed a release: keys of PEM files, and the statements that lie beside it in `<release>.intoto.jsonl`."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

from expectations.papers.attestation import Envelope, to_sign
from pipeline.recipe import RecipeError
from transforms.engine import files

ENDING = ".intoto.jsonl"
PASSWORD = "LOWBACKGROUND_KEY_PASSWORD"  # noqa: S105 (the name of it)
NEEDS = "needs the package cryptography; pip install 'lowbackground[sign]'"
KINDS = "give an Ed25519 or an ECDSA P-256 key as PEM (openssl genpkey -algorithm ed25519 -out key.pem)"


def signature_path(release: str) -> str:
    """Where the statements about a release are: beside it, since a release is what its manifest lists."""
    return release.rstrip("/") + ENDING


def private_key(path: str) -> tuple[str, Callable[[bytes], bytes]]:
    """The id of a private key, and what signs with it. The password of an encrypted one is in the environment.

    Raises:
      RecipeError: it cannot be read, or is no key of a kind that signs here.
    """
    serialization, ec, ed25519, hashes = _cryptography(path)
    password, pem = os.environ.get(PASSWORD, "").encode() or None, _pem(path)
    try:
        key = serialization.load_pem_private_key(pem, password)
    except TypeError:  # a password where none is needed, or none where one is
        state = "is not encrypted; unset" if password else "is encrypted; put its password into"
        raise RecipeError(f"--key {path}: {state} the environment variable {PASSWORD}") from None
    except Exception:
        raise RecipeError(f"--key {path}: is no private key, or its password is another one; {KINDS}") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _key_id(key.public_key(), serialization), key.sign
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return _key_id(key.public_key(), serialization), lambda data: key.sign(data, ec.ECDSA(hashes.SHA256()))
    raise RecipeError(f"--key {path}: is a key of another kind; {KINDS}")


def signed_by(envelopes: Sequence[Envelope], path: str) -> list[Envelope]:
    """The statements that were signed with the private half of this public key.

    Raises:
      RecipeError: it cannot be read, or is no key of a kind that signs here.
    """
    serialization, ec, ed25519, hashes = _cryptography(path)
    from cryptography.exceptions import InvalidSignature

    pem = _pem(path)
    try:
        key = serialization.load_pem_public_key(pem)
    except Exception:
        raise RecipeError(f"--key {path}: is no public key; openssl pkey -in key.pem -pubout writes it") from None
    how: tuple[Any, ...] = ()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        how = (ec.ECDSA(hashes.SHA256()),)
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise RecipeError(f"--key {path}: is a key of another kind; {KINDS}")

    def is_its(envelope: Envelope) -> bool:
        for signature in envelope.signatures.values():  # the key's id is a hint, and nobody signed it
            with contextlib.suppress(InvalidSignature):
                key.verify(signature, to_sign(envelope.payload), *how)
                return True
        return False

    return [envelope for envelope in envelopes if is_its(envelope)]


def read_envelopes(release: str) -> list[Envelope]:
    """The statements beside a release; none if it is not signed.

    Raises:
      ValueError: a line is no signed statement.
      OSError: they cannot be read.
    """
    try:
        lines = files.read(signature_path(release)).decode().splitlines()
    except FileNotFoundError:
        return []
    return [Envelope.from_json(line) for line in lines if line.strip()]


def _cryptography(path: str) -> tuple[Any, Any, Any, Any]:
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    except ImportError:
        raise RecipeError(f"--key {path}: {NEEDS}") from None
    return serialization, ec, ed25519, hashes


def _pem(path: str) -> bytes:
    try:
        return files.read(path)
    except OSError as error:
        raise RecipeError(f"--key {path}: {getattr(error, 'strerror', None) or 'cannot be read'}") from None


def _key_id(key: Any, serialization: Any) -> str:
    """SHA-256 of the public key as DER, which is how Sigstore and TUF name keys."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()
