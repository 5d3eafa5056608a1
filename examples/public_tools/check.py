"""A release and its papers, held against each other by public tools alone: nothing of Low Background is imported.

    pip install cryptography datasets duckdb mlcroissant openlineage-python prov securesystemslib spdx-python-model
    python check.py releases/v2 releases/v2.papers --key key.pub

Prints one line for each thing that was looked at; the first that is not as it should be ends it with an exit code.
"""

import argparse
import hashlib
import io
import json
import pathlib
import tempfile

import duckdb

MARK = ".lowbackground.json"  # says whose the folder is


def main() -> None:
    """Check everything, in the order in which an auditor would."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=pathlib.Path)
    parser.add_argument("papers", type=pathlib.Path)
    parser.add_argument("--key", type=pathlib.Path, required=True, help="the public key of whoever signed, PEM")
    args = parser.parse_args()
    kept = files(args.release)
    ledger(args.release, kept)
    loads(args.release, kept)
    croissant(args.papers / "croissant.json", kept)
    prov(args.papers / "prov.json")
    spdx(args.papers / "spdx.json", args.release)
    openlineage(args.papers / "openlineage.json", kept)
    signatures(args.release, args.key)


def said(*words: object) -> None:
    """A line on standard output."""
    print(*words)  # noqa: T201


def files(release: pathlib.Path) -> int:
    """Every file has the checksum and the size of the manifest, and there is no other. Gives the documents."""
    manifest = json.loads((release / "MANIFEST.json").read_bytes())
    known = {entry["path"]: entry for entry in manifest["files"]}
    there = {str(path.relative_to(release)) for path in release.rglob("*") if path.is_file()} - {"MANIFEST.json", MARK}
    assert there == known.keys(), there ^ known.keys()
    for path, entry in known.items():
        data = (release / path).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry["sha256"], entry["bytes"]), path
    said("sha256     ", len(known), "files are as the manifest says")
    return int(manifest["counts"]["kept"])


def ledger(release: pathlib.Path, kept: int) -> None:
    """Every document that was read is kept or dropped for a reason, and the shards hold exactly those that are kept."""
    with duckdb.connect() as db:
        for name in ("data", "ledger"):
            db.read_parquet(f"{release}/{name}/*.parquet").create_view(name)
        counts = json.loads((release / "MANIFEST.json").read_bytes())["counts"]
        reasons = dict(
            db.sql("select coalesce(reason, 'none'), count(*) from ledger where not kept group by all").fetchall()
        )
        dropped = {key.removeprefix("dropped."): n for key, n in counts.items() if key.startswith("dropped.") and n}
        assert reasons == dropped, (reasons, dropped)
        ((total,),) = db.sql("select count(*) from ledger").fetchall()
        assert total == counts["documents_in"] == kept + sum(dropped.values())
        held, named = db.sql("select id from data").fetchall(), db.sql("select id from ledger where kept").fetchall()
        assert sorted(held) == sorted(named)
    said("duckdb     ", total, "documents in the ledger,", kept, "of them in the shards, each once")


def loads(release: pathlib.Path, kept: int) -> None:
    """The card's header is one that the Hugging Face hub reads, and says what there is."""
    from datasets import load_dataset

    with tempfile.TemporaryDirectory() as cache:
        loaded = load_dataset(str(release), cache_dir=cache)["train"]
        assert loaded.num_rows == loaded.info.splits["train"].num_examples == kept
    said("datasets   ", kept, "rows")


def croissant(path: pathlib.Path, kept: int) -> None:
    """Croissant: its own library finds no error, and reads every record by it."""
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(path))
    assert not dataset.metadata.issues.errors, dataset.metadata.issues.report()
    assert sum(1 for one in dataset.metadata.record_sets for _ in dataset.records(one.uuid)) == kept
    said("mlcroissant", kept, "records")


def prov(path: pathlib.Path) -> None:
    """W3C PROV: the release derives from its sources."""
    from prov.model import ProvDerivation, ProvDocument

    document = ProvDocument.deserialize(str(path), format="json")
    sources = len(list(document.get_records(ProvDerivation)))
    assert sources
    said("prov       ", sources, "sources" if sources > 1 else "source")


def spdx(path: pathlib.Path, release: pathlib.Path) -> None:
    """SPDX 3: valid by its own model, with the checksum of every shard."""
    from spdx_python_model import v3_0_1 as model

    objects = model.SHACLObjectSet()
    with path.open("rb") as file:
        model.JSONLDDeserializer().read(file, objects)
    model.JSONLDSerializer().write(objects, io.BytesIO())  # which refuses what lacks a mandatory property
    stated = {file.name: file.verifiedUsing[0].hashValue for file in objects.foreach_type(model.software_File)}
    shards = {f"data/{one.name}": hashlib.sha256(one.read_bytes()).hexdigest() for one in (release / "data").iterdir()}
    assert stated == shards
    said("spdx       ", len(shards), "shards" if len(shards) > 1 else "shard")


def openlineage(path: pathlib.Path, kept: int) -> None:
    """OpenLineage: the events are such that the client sends."""
    from openlineage.client.event_v2 import RunState

    events = json.loads(path.read_bytes())
    assert all(event["eventType"] in RunState.__members__ for event in events)
    assert events[0]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == kept
    said("openlineage", len(events), "events")


def signatures(release: pathlib.Path, key: pathlib.Path) -> None:
    """in-toto statements in DSSE envelopes: signed by this key, about every file but the card, which may be written further."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    public = load_pem_public_key(key.read_bytes())
    lines = (release.parent / f"{release.name}.intoto.jsonl").read_text().splitlines()
    there = {
        str(path.relative_to(release)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in release.rglob("*")
        if path.is_file() and path.name not in (MARK, "README.md")
    }
    for line in lines:
        theirs = SSlibKey.from_crypto(public, keyid=json.loads(line)["signatures"][0]["keyid"])
        envelope = Envelope.from_dict(json.loads(line))
        assert envelope.verify([theirs], 1)
        about = {one["name"]: one["digest"]["sha256"] for one in json.loads(envelope.payload)["subject"]}
        assert about == there, about.items() ^ there.items()
    said("in-toto    ", len(lines), "statements about", len(there), "files")


if __name__ == "__main__":
    main()
