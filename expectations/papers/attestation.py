"""What is signed of a release: how it was made and what its gate said, as in-toto statements in DSSE envelopes.

Sources: in-toto attestation framework, Statement v1 and test-result v0.1 (github.com/in-toto/attestation); SLSA provenance v1
(slsa.dev/spec/v1.0/provenance); DSSE v1.0.2 (github.com/secure-systems-lab/dsse), of which the envelope and what is signed are.
"""

import base64
import dataclasses
import json
from collections.abc import Callable
from typing import Any

from expectations.papers.facts import PRODUCER, ReleasedPaper

PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE, TEST_RESULT = "https://slsa.dev/provenance/v1", "https://in-toto.io/attestation/test-result/v0.1"
MANIFEST = "MANIFEST.json"


@dataclasses.dataclass(frozen=True)
class Envelope:
    """A statement and who signed it.

    Attributes:
      payload: the statement, JSON.
      signatures: key id -> signature of `to_sign(payload)`.
    """

    payload: bytes
    signatures: dict[str, bytes]

    def to_json(self) -> str:
        """One line."""
        signed = [{"keyid": key, "sig": _base64(one)} for key, one in self.signatures.items()]
        return json.dumps({"payloadType": PAYLOAD, "payload": _base64(self.payload), "signatures": signed}) + "\n"

    @classmethod
    def from_json(cls, line: str) -> "Envelope":
        """Of one line.

        Raises:
          ValueError: it is no envelope of an in-toto statement.
        """
        try:
            read = json.loads(line)
            if read["payloadType"] != PAYLOAD:
                raise ValueError(f"it holds {read['payloadType']!r}, and no in-toto statement")
            signatures = {str(one["keyid"]): base64.b64decode(one["sig"]) for one in read["signatures"]}
            return cls(base64.b64decode(read["payload"], validate=True), signatures)
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"it is no signed statement ({error!r})") from None

    @property
    def statement(self) -> dict[str, Any]:
        """What is said. To be believed once a signature of it is verified.

        Raises:
          ValueError: it is no statement.
        """
        read = json.loads(self.payload)
        if not isinstance(read, dict) or read.get("_type") != STATEMENT or not isinstance(read.get("subject"), list):
            raise ValueError("it is no in-toto statement")
        return read

    def speaks_of(self, sha256: str) -> bool:
        """Whether its subject is the release whose manifest has this SHA-256."""
        found = [one["digest"].get("sha256") for one in self.statement["subject"] if one.get("name") == MANIFEST]
        return found == [sha256]


def to_sign(payload: bytes) -> bytes:
    """The bytes that a signature is of: DSSE's pre-authentication encoding of the payload and its type."""
    kind = PAYLOAD.encode()
    return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])


def sign_statements(statements: list[dict[str, Any]], key: str, sign: Callable[[bytes], bytes]) -> list[Envelope]:
    """Each statement in an envelope of its own. `key` is the id of what signs."""
    payloads = [json.dumps(one, sort_keys=True, ensure_ascii=False).encode() for one in statements]
    return [Envelope(payload, {key: sign(to_sign(payload))}) for payload in payloads]


def statements(release: ReleasedPaper, verdict: dict[str, Any]) -> list[dict[str, Any]]:
    """How a release was made, and what its gate said.

    The subjects are the manifest and every file that it lists but the card, which people go on writing.

    Args:
      release: the release.
      verdict: verdict.json.
    """
    files = [file for file in release.manifest["files"] if file["path"] != "README.md"]
    subjects = [_resource(MANIFEST, release.sha256), *(_resource(file["path"], file["sha256"]) for file in files)]
    return [
        {"_type": STATEMENT, "subject": subjects, "predicateType": kind, "predicate": predicate}
        for kind, predicate in ((PROVENANCE, _provenance(release)), (TEST_RESULT, _test_result(release, verdict)))
    ]


def _provenance(release: ReleasedPaper) -> dict[str, Any]:
    manifest = release.manifest
    prints = manifest.get("fingerprints") or {}
    sources = [
        {
            "name": one["source"],
            # a fingerprint of what was read, and not of the files' bytes: so it has a name of its own
            "digest": {"lowbackgroundFingerprint": prints.get(one["source"], "")},
            "annotations": {key: value for key, value in one.items() if key != "source"},
        }
        for one in manifest["inputs"]
    ]
    parts = [_resource("detector", manifest["detector_sha256"])] if manifest.get("detector_sha256") else []
    parts += [_resource("labels", digest) for digest in manifest.get("labels_sha256") or ()]
    versions = dict(manifest["versions"])
    return {
        "buildDefinition": {
            "buildType": f"{PRODUCER}:run:1",
            "externalParameters": {"release": release.name, "recipe": release.recipe},
            "internalParameters": {"salt": manifest.get("salt"), "versions": versions},
            "resolvedDependencies": [*sources, *parts],
        },
        "runDetails": {"builder": {"id": PRODUCER, "version": {"lowbackground": versions.get("lowbackground", "")}}},
    }


def _test_result(release: ReleasedPaper, verdict: dict[str, Any]) -> dict[str, Any]:
    """A release exists because its gate passed: what does not hold in it warns."""
    held: dict[bool, list[str]] = {True: [], False: []}
    for one in verdict["expectations"]:
        held[one["status"] == "pass" or one["waived"]].append(f"{one['key']} {one['metric']}")
    return {
        "result": "WARNED" if held[False] else "PASSED",
        "configuration": [_resource(file["path"], file["sha256"]) for file in release.files("suite.yaml")],
        "passedTests": held[True],
        "warnedTests": held[False],
        "failedTests": [],
    }


def _resource(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
