"""Statements about a release, signed: public tools believe them, and whatever is not as it was signed is found out."""

import base64
import json
import pathlib
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from rich.console import Console
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from typer.testing import CliRunner

from pipeline import runner
from pipeline.cli import app
from pipeline.commands.withdraw import withdraw
from pipeline.recipe import RecipeError, load_recipe

QUIET = Console(quiet=True)
KINDS = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> pathlib.Path:
    """A real run of forty documents, two of them alike."""
    top = tmp_path_factory.mktemp("signed")
    texts = [f"Page {i} speaks of gardens, rivers and {'old ' * (i % 9)}stories of {1900 + i}." for i in range(40)]
    rows = [{"id": f"w{i}", "text": text} for i, text in enumerate([*texts, texts[7]])]
    (top / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "release": "v1",
        "sources": [{"name": "web", "path": "in.jsonl", "origin": "human", "licence": "CC-BY-4.0"}],
        "expectations": {
            "expectations": [
                {"expect": "size_to_be_at_least", "min": 1},
                {"expect": "size_to_be_at_least", "min": 10_000, "severity": "warning"},
            ]
        },
        "output": {"path": "releases"},
    }
    (top / "recipe.yaml").write_text(json.dumps(recipe))
    loaded = load_recipe(str(top / "recipe.yaml"))
    return pathlib.Path(runner.run(loaded, runner.prepare(loaded, str(top)), QUIET).folder)


@pytest.fixture
def release(made, tmp_path) -> pathlib.Path:
    """A copy to do with as one likes."""
    return pathlib.Path(shutil.copytree(made, tmp_path / "v1"))


def key(tmp_path: pathlib.Path, kind: str = "ed25519", name: str = "", password: bytes = b"") -> pathlib.Path:
    """A new key in PEM files, as OpenSSL writes them."""
    private = KINDS[kind]()
    secret = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    path = tmp_path / f"{name or kind}.pem"
    pkcs8 = serialization.PrivateFormat.PKCS8
    path.write_bytes(private.private_bytes(serialization.Encoding.PEM, pkcs8, secret))
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    path.with_suffix(".pub").write_bytes(private.public_key().public_bytes(serialization.Encoding.PEM, info))
    return path


def call(*words: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(found.exception, RecipeError):
        return 2, str(found.exception)
    return found.exit_code, found.output


def lines(release: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in (release.parent / "v1.intoto.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_a_public_tool_verifies_what_was_signed(release, tmp_path, kind) -> None:
    private = key(tmp_path, kind)
    assert call("sign", release, "--key", private)[0] == 0
    public = serialization.load_pem_public_key(private.with_suffix(".pub").read_bytes())
    for line in lines(release):
        theirs = SSlibKey.from_crypto(public, keyid=line["signatures"][0]["keyid"])
        envelope = Envelope.from_dict(line)
        assert envelope.verify([theirs], 1)
        envelope.payload = envelope.payload.replace(b"CC-BY-4.0", b"CC0-1.0").replace(b"WARNED", b"PASSED")
        with pytest.raises(VerificationError):
            envelope.verify([theirs], 1)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine")
def test_openssl_verifies_it_too_and_names_the_key_alike(release, tmp_path) -> None:
    private = key(tmp_path)
    call("sign", release, "--key", private)
    line = lines(release)[0]
    payload = base64.b64decode(line["payload"])
    (tmp_path / "signed").write_bytes(b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload))
    (tmp_path / "sig").write_bytes(base64.b64decode(line["signatures"][0]["sig"]))
    public = private.with_suffix(".pub")
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin"]
    subprocess.run([*verify, "-in", tmp_path / "signed", "-sigfile", tmp_path / "sig"], check=True, capture_output=True)
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", public, "-outform", "DER"], check=True, capture_output=True
    )
    named = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der.stdout, check=True, capture_output=True)
    assert named.stdout.split()[0].decode() == line["signatures"][0]["keyid"]


def test_the_statements_say_how_it_was_made_and_what_the_gate_said(release, tmp_path) -> None:
    call("sign", release, "--key", key(tmp_path))
    made, judged = (json.loads(base64.b64decode(line["payload"])) for line in lines(release))
    manifest = json.loads((release / "MANIFEST.json").read_text())
    listed = {file["path"]: file["sha256"] for file in manifest["files"] if file["path"] != "README.md"}
    for statement in (made, judged):
        subjects = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
        assert {name: digest for name, digest in subjects.items() if name != "MANIFEST.json"} == listed
    build = made["predicate"]["buildDefinition"]
    assert build["externalParameters"]["recipe"]["release"] == "v1"
    assert build["resolvedDependencies"][0]["name"] == "web"
    assert build["internalParameters"]["versions"] == manifest["versions"]
    assert judged["predicate"]["result"] == "WARNED"
    assert [name.split()[1] for name in judged["predicate"]["warnedTests"]] == ["documents"]
    assert not judged["predicate"]["failedTests"]


def test_verify_says_who_signed_and_refuses_who_did_not(release, tmp_path) -> None:
    mine, other = key(tmp_path, name="mine"), key(tmp_path, "p256")
    assert "signed" not in call("verify", release)[1]
    code, said = call("verify", release, "--key", mine.with_suffix(".pub"))
    assert code == 1
    assert "no statement that the key" in said
    call("sign", release, "--key", mine)
    assert call("verify", release, "--key", mine.with_suffix(".pub"))[0] == 0
    assert "--key PUBLIC.pem proves it" in call("verify", release)[1]
    assert call("verify", release, "--key", other.with_suffix(".pub"))[0] == 1
    assert "beside 2 of other keys" in call("sign", release, "--key", other)[1]
    assert call("verify", release, "--key", mine.with_suffix(".pub"))[0] == 0
    call("sign", release, "--key", mine)  # again: no more statements than keys have
    assert len(lines(release)) == 4


def test_what_was_changed_after_signing_is_found_out(release, tmp_path) -> None:
    private = key(tmp_path)
    call("sign", release, "--key", private)
    path = release.parent / "v1.intoto.jsonl"
    manifest = release / "MANIFEST.json"
    manifest.write_text(manifest.read_text().replace('"salt"', '"salt" '))
    code, said = call("verify", release, "--key", private.with_suffix(".pub"))
    assert code == 1
    assert "speaks of another release" in said
    assert call("sign", release, "--key", private)[0] == 2  # whose statements these are, nobody can say any more
    assert call("sign", release, "--key", private, "--force")[0] == 0
    path.write_text("{}\n")
    assert call("verify", release)[0] == 1
    assert call("sign", release, "--key", private)[0] == 2


def test_a_release_that_is_not_whole_is_not_signed(release, tmp_path) -> None:
    next((release / "data").glob("*.parquet")).unlink()
    code, said = call("sign", release, "--key", key(tmp_path))
    assert code == 2
    assert "nothing was signed" in said
    assert not (release.parent / "v1.intoto.jsonl").exists()


def test_keys_that_are_none_are_refused_with_what_would_do(release, tmp_path, monkeypatch) -> None:
    secret = key(tmp_path, name="secret", password=b"a word")
    (tmp_path / "text.pem").write_text("no key")
    for path, why in {
        tmp_path / "none.pem": "No such file",
        tmp_path / "text.pem": "openssl genpkey",
        key(tmp_path, "rsa"): "another kind",
        secret: "LOWBACKGROUND_KEY_PASSWORD",
        secret.with_suffix(".pub"): "is no private key",
    }.items():
        code, said = call("sign", release, "--key", path)
        assert code == 2
        assert why in said
        assert "a word" not in said
    monkeypatch.setenv("LOWBACKGROUND_KEY_PASSWORD", "a word")
    assert call("sign", release, "--key", secret)[0] == 0


def test_the_life_of_a_document_from_its_source_to_its_withdrawal(made, tmp_path) -> None:
    first = pathlib.Path(shutil.copytree(made, tmp_path / "v1"))
    (tmp_path / "list.jsonl").write_text(
        json.dumps({"id": "w3", "requested_by": "its author", "requested_on": "2026-11-27"}) + "\n"
    )
    withdraw(str(first), [str(tmp_path / "list.jsonl")], "v2", QUIET)
    code, said = call("provenance", "w3", first, tmp_path / "v2")
    assert code == 0
    before, after = said.split("v2\n")
    assert "kept" in before
    assert "licence       CC-BY-4.0" in before
    assert "reason withdrawn" in after
    assert "licence" not in after  # what did not change is not told again
    answer = json.loads(call("provenance", "w3", first, tmp_path / "v2", "--json")[1])
    assert [[row["kept"] for row in one["rows"]] for one in answer["releases"]] == [[True], [False]]


def test_a_document_that_no_release_has_is_refused(made) -> None:
    code, said = call("provenance", "w999", made)
    assert code == 2
    assert "has no document 'w999'" in said


def test_a_copy_is_told_with_what_was_kept_for_it(made) -> None:
    said = call("provenance", "w40", made)[1] + call("provenance", "w7", made)[1]
    assert "reason exact_duplicate" in said
    assert "survivor_id" in said
