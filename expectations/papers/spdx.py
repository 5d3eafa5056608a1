"""A release in SPDX 3.0.1, dataset profile (spdx.github.io/spdx-spec)."""

from typing import Any

from expectations.papers.facts import StandardInput, declared, dropped, if_known, personal

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"


def spdx(given: StandardInput) -> dict[str, Any]:
    """An SPDX 3.0.1 document (JSON-LD) with the release as a dataset package, and its shards with their checksums."""
    release = given.release
    base, info = given.urn, "_:creation"
    package = {
        "type": "dataset_DatasetPackage",
        "spdxId": f"{base}/dataset",
        "creationInfo": info,
        "name": release.name,
        "description": given.about,
        "software_packageVersion": release.sha256,
        "software_primaryPurpose": "data",
        "dataset_datasetType": ["text"],
        "dataset_datasetSize": sum(file["bytes"] for file in release.files("data/")),
        "dataset_hasSensitivePersonalInformation": "noAssertion",  # an address is personal; whether it is sensitive is not known
        "dataset_dataPreprocessing": [f"{n} documents dropped: {why}" for why, n in dropped(release)],
        "dataset_dataCollectionProcess": "; ".join(f"{s['name']}: {declared(s)}" for s in release.sources),
        "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": release.sha256}],
    }
    package |= if_known("comment", personal(release))
    files = [
        {
            "type": "software_File",
            "spdxId": f"{base}/{file['path']}",
            "creationInfo": info,
            "name": file["path"],
            "software_primaryPurpose": "data",
            "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": file["sha256"]}],
        }
        for file in release.files("data/")
    ]
    graph: list[dict[str, Any]] = [
        {
            "type": "CreationInfo",
            "@id": info,
            "specVersion": "3.0.1",
            "created": f"{given.date}T00:00:00Z",
            "createdBy": [f"{base}/lowbackground"],
        },
        {"type": "SoftwareAgent", "spdxId": f"{base}/lowbackground", "creationInfo": info, "name": "lowbackground"},
        package,
        *files,
    ]
    if files:
        graph.append(_relationship(base, info, "contains", [file["spdxId"] for file in files]))
    if given.licences:
        joined = given.licences[0] if len(given.licences) == 1 else " AND ".join(f"({one})" for one in given.licences)
        licence = f"{base}/licence"
        graph.append(
            {
                "type": "simplelicensing_LicenseExpression",
                "spdxId": licence,
                "creationInfo": info,
                "simplelicensing_licenseExpression": joined,
            }
        )
        graph.append(_relationship(base, info, "hasDeclaredLicense", [licence]))
    else:
        graph.append(_relationship(base, info, "hasDeclaredLicense", ["expandedlicensing_NoAssertionLicense"]))
    roots = [package["spdxId"]]
    graph.append(
        {
            "type": "SpdxDocument",
            "spdxId": f"{base}/document",
            "creationInfo": info,
            "profileConformance": ["core", "software", "dataset", "simpleLicensing"],
            "rootElement": roots,
            "element": [one["spdxId"] for one in graph if "spdxId" in one],
        }
    )
    return {"@context": CONTEXT, "@graph": graph}


def _relationship(base: str, info: str, kind: str, to: list[str]) -> dict[str, Any]:
    return {
        "type": "Relationship",
        "spdxId": f"{base}/{kind}",
        "creationInfo": info,
        "from": f"{base}/dataset",
        "relationshipType": kind,
        "to": to,
    }
