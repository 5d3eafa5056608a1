"""What the results of a run depend on, as digests that name them in the signal store.

A result is found again only if nothing that it depends on has changed: the parts of the recipe that its stages read, what is in
every file that those name, the input's files, and the code with its libraries. A result depends on all of a recipe but what is
known to come after it, which is what is named here: a new key changes everything until somebody says otherwise.
"""

import functools
import hashlib
import importlib.metadata
import itertools
import os
import platform
import posixpath
import re

import orjson

from expectations.structures.system import System
from expectations.structures.systems_file import systems_yaml
from expectations.versions import version
from pipeline.places import STORE
from pipeline.recipe import Recipe
from transforms.dedup.repeated_paragraphs import BoilerplateConfig
from transforms.engine import files
from transforms.exclusions.contamination import Items
from transforms.exclusions.removals import Removals, for_manifest
from transforms.ingest.sources import Split
from transforms.kernels.similarity import minhash
from transforms.kernels.text import personal
from transforms.measures.metrics import MeasureConfig
from transforms.origin.review_labels import Reviewed
from transforms.origin.witnesses import Witnesses
from transforms.signals.store import SignalStore
from transforms.structures.find import Systems
from transforms.survey.tokenizers import TokenizerModel

AFTER_MEASURES = dict.fromkeys(("release", "expectations", "output", "runner", "papers"), True)
AFTER_DEDUP = AFTER_MEASURES | {"salt": True, "ratio": True, "reference": True}
PACKAGES = ("pipeline", "transforms", "expectations")


@functools.cache
def code() -> str:
    """A digest of the product's own files, models among them, and of the versions of what it needs and runs on.

    Signals have a number that a developer raises, for they are dear; what is kept here is cheap, and nobody need remember.
    """
    digest = hashlib.blake2b(digest_size=16)
    root = os.path.dirname(os.path.dirname(__file__))
    for folder, inside, names in itertools.chain.from_iterable(os.walk(os.path.join(root, one)) for one in PACKAGES):
        inside[:] = sorted({*inside} - {"__pycache__"})
        for path in (os.path.join(folder, name) for name in sorted(names)):
            with open(path, "rb") as file:
                digest.update(hashlib.blake2b(file.read() + os.path.relpath(path, root).encode()).digest())
    needed = importlib.metadata.requires("lowbackground") or []
    names = sorted({re.split(r"[^\w.-]", one, maxsplit=1)[0] for one in needed if "extra ==" not in one})
    versions = [f"{name} {version(name)}" for name in names]
    digest.update("\n".join([*versions, platform.python_version(), platform.machine()]).encode())
    return digest.hexdigest()


def _digest(*what: object) -> str:
    return hashlib.blake2b(orjson.dumps(what, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def decided_by(
    recipe: Recipe,
    splits: tuple[Split, ...],
    earlier: tuple[Split, ...],
    reviewed: Reviewed | None,
    removals: Removals | None,
    systems: tuple[System, ...],
) -> str:
    """What the decisions before the mixture, and the offers, depend on beside the signals."""
    asked = recipe.model_dump(mode="json", exclude=AFTER_DEDUP)
    pieces = [(split.source, split.key) for split in (*splits, *earlier)]
    said = systems_yaml(systems) if systems else ""  # a slice decides which patterns count
    return _digest(code(), asked, pieces, reviewed.sha256 if reviewed else (), for_manifest(removals), said)


def measured_by(
    recipe: Recipe, decided: str, systems: tuple[System, ...], measure: MeasureConfig, earlier_human: int
) -> str:
    """What the measures depend on beside the decisions before the mixture."""
    asked = recipe.model_dump(mode="json", exclude=AFTER_MEASURES)
    held_against = [
        hashlib.sha256(files.read(posixpath.join(system.reference.release, "metrics.parquet"))).hexdigest()
        for system in systems
        if system.reference.release is not None
    ]
    return _digest(decided, asked, held_against, measure.reference.sha256, [*map(str, measure.unread)], earlier_human)


def shown_by(recipe: Recipe) -> str:
    """What the beginnings of documents depend on beside the signals."""
    return _digest(code(), recipe.personal_data.mask)


def signal_store(
    recipe: Recipe,
    detectors: str,
    witnesses: Witnesses,
    splits: tuple[Split, ...],
    systems: Systems,
    items: Items | None,
    tokenizer: TokenizerModel | None,
) -> SignalStore:
    """Where the signals of a recipe are, under names of all that they depend on."""
    depends_on = {
        **_how_read(recipe),
        "detector": detectors,
        "evidence": witnesses.fingerprint(),
        "signature": f"{minhash.SCHEME} seed {minhash.SEED} {recipe.dedup.num_perm} of {recipe.dedup.ngram}-shingles",
    }
    if recipe.dedup.paragraphs.remove:
        depends_on["removed"] = _removal(recipe, splits)
    if systems.systems:
        depends_on["structures"] = systems.key()
    if items:
        depends_on["contamination"] = items.sha256
    if tokenizer:
        depends_on["tokenizer"] = tokenizer.sha256
    if recipe.personal_data.is_counted:
        depends_on["personal"] = f"{' '.join(personal.KINDS)} without {' '.join(sorted(recipe.personal_data.mask))}"
    return SignalStore(posixpath.join(recipe.output.path, STORE), tuple(sorted(depends_on.items())))


def _how_read(recipe: Recipe) -> dict[str, str]:
    """What the documents of a split depend on beside its files."""
    return {"limits": repr(recipe.ingest.limits)} | {
        f"source {number}": source.model_dump_json(
            include={"name", "fields", "format", "origin", "generator", "kind", "licence"}
        )
        for number, source in enumerate(recipe.sources)
    }


def _removal(recipe: Recipe, splits: tuple[Split, ...]) -> str:
    """What the removed paragraphs depend on: the limit and, since they are counted across it, the whole corpus."""
    pieces = sorted((split.source, *map(str, piece.key)) for split in splits for piece in split.pieces)
    return _digest(recipe.dedup.paragraphs.max_documents, _how_read(recipe), pieces)


def boilerplate(recipe: Recipe, few_splits: bool) -> BoilerplateConfig:
    """The first reading. Its store is the survey's folder, under names that depend on less: another limit reads no text."""
    depends_on = _how_read(recipe) | {"what": "paragraphs"}
    store = SignalStore(posixpath.join(recipe.output.path, STORE), tuple(sorted(depends_on.items())))
    return BoilerplateConfig(store, recipe.dedup.paragraphs.max_documents, few_splits)
