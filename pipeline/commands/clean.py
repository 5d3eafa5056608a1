"""`clean`: delete what killed runs left behind, and nothing else."""

import posixpath
import re

from apache_beam.io.filesystems import FileSystems

from pipeline.publish import clear
from pipeline.recipe import RecipeError
from pipeline.runner import STAGING, STORE
from transforms.dedup.earlier_releases import MANIFEST

_OURS = re.compile(r"/([^/]+)/(data/train-\d{5}-of-\d{5}|ledger/ledger-\d{5}-of-\d{5})\.parquet$")


def clean_output(output: str, signals: bool) -> str:
    """Delete staging folders, unfinished signals and half-published releases; say what was deleted.

    A half-published release is a folder with our shards or ledger, no manifest, and no name of a rejection. Do not clean
    while a run writes to the same folder.

    Raises:
      RecipeError: there is no such folder.
    """
    output = output.rstrip("/")
    if not FileSystems.exists(output):
        raise RecipeError(f"{output}: no such folder; give the recipe's output.path")
    paths = [match.path for match in FileSystems.match([f"{output}/**"])[0].metadata_list]
    doomed = []
    staging = posixpath.join(output, STAGING)
    if any(path.startswith(staging + "/") for path in paths):
        doomed.append(staging)
    elif FileSystems.exists(staging):
        clear(staging)  # empty: not worth a word
    if signals and FileSystems.exists(posixpath.join(output, STORE)):
        doomed.append(posixpath.join(output, STORE))
    folders = {match[1] for path in paths if (match := _OURS.search(path))}
    for name in sorted(folders):
        folder = posixpath.join(output, name)
        if (
            not name.endswith(".rejected")
            and not name.startswith(".")
            and not FileSystems.exists(f"{folder}/{MANIFEST}")
        ):
            doomed.append(folder)
    partial = [path for path in paths if path.endswith(".partial")]
    for folder in doomed:
        clear(folder)
    FileSystems.delete([path for path in partial if FileSystems.exists(path)])
    lines = [f"deleted {path}" for path in [*doomed, *partial]]
    return "\n".join(lines) or f"{output}: nothing to clean"
