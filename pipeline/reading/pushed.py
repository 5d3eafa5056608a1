"""Where a release was pushed to, as it is noted beside it in `<release>.pushed.jsonl`."""

import orjson

from expectations.wording import message
from pipeline.recipe import RecipeError
from transforms.engine import files
from transforms.release.read_release import read_manifest

PUSHED = ".pushed.jsonl"
FORMAT = "lowbackground.pushed/1"


def pushed_path(release: str) -> str:
    """Where it is written to which hub a release went: beside it, since a release is what its manifest lists."""
    return release.rstrip("/") + PUSHED


def read_pushed(release: str) -> list[dict[str, str]]:
    """Where a release was pushed to, the first time first.

    Raises:
      RecipeError: the file beside it is none of ours.
    """
    try:
        found = [orjson.loads(line) for line in files.read(pushed_path(release)).splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RecipeError(f"{pushed_path(release)}: {message(error)}; move it away") from None
    if not all(isinstance(one, dict) and one.get("format") == FORMAT for one in found):
        raise RecipeError(f"{pushed_path(release)}: is no list of where a release was pushed to; move it away")
    return found


def note_pushed(release: str, repository: str, revision: str) -> None:
    """Write beside a release that a hub has it.

    Raises:
      OSError: it cannot be written.
    """
    line = {
        "format": FORMAT,
        "repository": repository,
        "revision": revision,
        "manifest_sha256": read_manifest(release)[1],
    }
    lines = [*read_pushed(release), line]
    files.write(pushed_path(release), b"".join(orjson.dumps(one) + b"\n" for one in lines))
