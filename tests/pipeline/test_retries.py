"""What engines do to bundles changes no byte: run twice, lost half way and run again, run by a worker that was thought dead."""

import hashlib
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, fn_runner

from pipeline import runner
from pipeline.commands.clean import clean_output
from tests.pipeline.test_flow import corpus, run, write
from tests.pipeline.test_lost_rows import EVERYTHING, MAY_DIFFER
from transforms.engine import files

Run = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("retries")
    write(folder / "corpus", corpus()[:60] + corpus()[250:262], files=3)
    (folder / "corpus" / "broken.jsonl").write_bytes(b'{"id": "bad"\n{"id": "none"}\n')
    return folder


@pytest.fixture(scope="module")
def released(folder: pathlib.Path) -> Run:
    """A run from nothing -> the checksum of each file of its release."""

    def released(**config: object) -> dict[str, str]:
        shutil.rmtree(folder / "out", ignore_errors=True)
        result = run(folder, dedup=EVERYTHING, runner=config, evidence={"queue": 5})
        assert result.exit_code == runner.PASSED
        return checksums(pathlib.Path(result.folder))

    return released


def checksums(release: pathlib.Path) -> dict[str, str]:
    found = sorted(path for path in release.rglob("*") if path.is_file())
    return {
        str(path.relative_to(release)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
        if str(path.relative_to(release)) not in MAY_DIFFER
    }


@pytest.fixture(scope="module")
def plain(released: Run) -> dict[str, str]:
    return released(workers=1)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_every_bundle_twice_and_groups_fetched_piece_by_piece(
    workers: int, released: Run, plain: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two workers values of groups come over gRPC, as Dataflow sends those of large ones; and labels are in parts."""
    start = FnApiRunner.__init__

    def piecemeal(self: FnApiRunner, *args: Any, **options: Any) -> None:
        start(self, *args, **options | {"use_state_iterables": True})

    monkeypatch.setattr(FnApiRunner, "__init__", piecemeal)
    # Not Beam's own option for it, which forgets the values of groups between the two.
    below, bundles = fn_runner.BundleManager.process_bundle, []

    def process_bundle(self, inputs, outputs, timers, expected, dry_run=False):  # type: ignore[no-untyped-def]
        below(self, inputs, outputs, timers, expected, dry_run=True)
        bundles.append(below(self, inputs, outputs, timers, expected))
        return bundles[-1]

    monkeypatch.setattr(fn_runner.BundleManager, "process_bundle", process_bundle)
    assert released(workers=workers, dedup_parts=2 * workers - 1) == plain
    assert len(bundles) > 20


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bundle_that_is_lost_half_way_is_run_again(
    workers: int, released: Run, plain: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt at every bundle that writes breaks right after a file has its name; the others may be at work still."""
    below, replace = fn_runner.BundleManager.process_bundle, os.replace
    armed, broken = [False], []

    def process_bundle(self, inputs, outputs, timers, expected, dry_run=False):  # type: ignore[no-untyped-def]
        armed[0] = True
        try:
            below(self, inputs, outputs, timers, expected, dry_run=True)
        except RuntimeError as error:
            if "lost half way" not in str(error):
                raise
        armed[0] = False
        return below(self, inputs, outputs, timers, expected)

    def breaking(source: str, destination: str) -> None:
        replace(source, destination)
        if armed[0]:
            armed[0] = False
            broken.append(destination)
            raise OSError(5, "lost half way", destination)

    monkeypatch.setattr(fn_runner.BundleManager, "process_bundle", process_bundle)
    monkeypatch.setattr(files.os, "replace", breaking)
    assert released(workers=workers, dedup_parts=2 * workers - 1) == plain
    places = {pathlib.Path(path).parent.name for path in broken}
    assert places >= {".signals", "ledger", "data"} or places >= {".signals", "ledger", "signatures"}
    assert any("built-" in path for path in broken)
    assert not (pathlib.Path(broken[0]).parent.parent / ".staging").exists()


def test_a_worker_that_was_thought_dead_does_everything_again_after_the_others(
    folder: pathlib.Path, released: Run, plain: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every bundle once more when the release has been built; and its files once more when that has its place."""
    below, replace = fn_runner.BundleManager.process_bundle, os.replace
    done: list[tuple[Any, ...]] = []
    written: dict[str, bytes] = {}
    zombie = [0]

    def process_bundle(self, inputs, outputs, timers, expected, dry_run=False):  # type: ignore[no-untyped-def]
        result = below(self, inputs, outputs, timers, expected)
        done.append(
            (self, {name: [bytes(part) for part in part_of] for name, part_of in inputs.items()}, outputs, timers)
        )
        if any(
            "PublishRelease/Work" in name for name in self.bundle_context_manager.process_bundle_descriptor.transforms
        ):
            for late, *what in done:
                below(late, *what, {}, dry_run=True)
                zombie[0] += 1
        return result

    def recording(source: str, destination: str) -> None:
        replace(source, destination)
        if ".staging" in destination:
            written[destination] = pathlib.Path(destination).read_bytes()

    monkeypatch.setattr(fn_runner.BundleManager, "process_bundle", process_bundle)
    monkeypatch.setattr(files.os, "replace", recording)
    assert released(workers=1, dedup_parts=3) == plain
    assert zombie[0] > 20
    assert sum(path.endswith("/built") for path in written) == 1
    monkeypatch.undo()
    for path, data in written.items():
        files.write(path, data)
    assert checksums(folder / "out" / "test") == plain
    clean_output(str(folder / "out"), signals=False)
    assert not (folder / "out" / ".staging").exists()
    assert checksums(folder / "out" / "test") == plain
