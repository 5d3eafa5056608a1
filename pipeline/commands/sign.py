"""`sign`: what a release is, how it was made and what its gate said, signed with a key of this machine."""

import json

from rich.console import Console

from expectations.papers.attestation import sign_statements, statements
from expectations.wording import message
from pipeline.commands.papers import read_papers
from pipeline.commands.verify import examine
from pipeline.reading.outputs import check_output, save
from pipeline.reading.signature import private_key, read_envelopes, signature_path
from pipeline.recipe import RecipeError
from transforms.release.read_release import read_verdict


def sign_release(folder: str, key: str, console: Console, force: bool = False) -> str:
    """Read all of a release, and put signed statements beside it; those of other signers of the same release stay.

    Args:
      folder: of the release.
      key: PEM file of a private key.
      console: where progress goes.
      force: whether statements about another release may be replaced.

    Returns:
      What was done, for a person.

    Raises:
      ReleaseError: there is no release, or it is damaged.
      RecipeError: it is not whole, the key is none, or what is beside it speaks of another release.
    """
    path = signature_path(folder)
    check_output(path, [folder, key], True, option="sign")
    key_id, sign = private_key(key)
    (release,) = read_papers([folder]).values()
    try:
        there = read_envelopes(folder)
        others = [one for one in there if one.speaks_of(release.sha256) and key_id not in one.signatures]
    except ValueError as error:
        raise RecipeError(f"{path}: {message(error)}; move it away") from None
    if any(not one.speaks_of(release.sha256) for one in there) and not force:
        raise RecipeError(f"{path}: speaks of another release; move it away, or say --force")
    _, wrong = examine(folder, console)
    if wrong:
        raise RecipeError(f"{folder}: not good: {wrong[0]}; nothing was signed")
    about = statements(release, json.loads(read_verdict(folder).to_json()))
    save("".join(one.to_json() for one in [*others, *sign_statements(about, key_id, sign)]), path)
    more = f", beside {len(others)} of other keys" if others else ""
    return f"signed {folder} (manifest {release.sha256[:16]}) with key {key_id[:16]}{more}: {path}"
