"""Other engines: Prism, Beam's portable runner, gives the same bytes, with workers elsewhere too, and is gone after the run."""

import contextlib
import functools
import io
import json
import logging
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from typing import Any

import apache_beam as beam
import grpc
import psutil
import pytest
import warm
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker import sdk_worker
from clean_environment import environment_of
from rich.console import Console

from expectations.errors import BrokenError
from pipeline import engines, execution, places, runner
from pipeline.commands.clean import clean_output
from pipeline.commands.demo import build_demo
from pipeline.commands.status import status_of
from pipeline.graph import build
from pipeline.jobs import JobLeftError
from pipeline.recipe import RecipeError, RunnerConfig
from tests.pipeline.test_flow import QUIET, corpus, recipe_in, run, write
from tests.pipeline.test_graph_size import MOST_BYTES, Forgetful, of_splits
from tests.pipeline.test_retries import checksums
from tests.workers import ROOT, environment, has_ended, job_service, prism, prisms_of, seen, spread_over, worker_pool
from transforms.engine import counted, staged
from transforms.engine.folders import FolderError
from transforms.engine.job_graph import JobGraph
from transforms.engine.staged import staging

needs_prism = pytest.mark.skipif(prism() is None, reason="no prism here: go install it, as tests/workers.py says")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The demo, with a local release of it; paths in its recipe are relative."""
    folder = tmp_path_factory.mktemp("engines")
    build_demo(str(folder / "demo"), False)
    lowbackground(folder / "demo", "run", "recipe.yaml", "--set", "output.path=local")
    return folder / "demo"


def lowbackground(folder: pathlib.Path, *words: str) -> str:
    command = [*warm.python(), "-m", "pipeline.cli", *words]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "prism" not in done.stderr.lower()  # its chatter
    return done.stdout


def on_prism(folder: pathlib.Path, output: str, *options: str) -> dict[str, str]:
    said = json.dumps([f"--prism_location={prism()}", *options])
    sets = [f"output.path={output}", f"runner.options={said}"]
    words = [word for one in sets for word in ("--set", one)]
    lowbackground(folder, "run", "recipe.yaml", "--runner", "PrismRunner", *words)
    assert prisms_of(os.getpid()) == []
    return checksums(folder / output / "demo")


@pytest.mark.slow
@needs_prism
def test_the_demo_is_the_same_bytes_on_prism(demo: pathlib.Path) -> None:
    local = checksums(demo / "local" / "demo")
    assert {"metrics.parquet", "sketches.parquet", "verdict.json"} < local.keys()
    assert on_prism(demo, "loopback") == local


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Some documents, and in `local` the release of them that this process makes."""
    folder = tmp_path_factory.mktemp("small")
    write(folder / "corpus", corpus()[:60] + corpus()[250:262], files=3)
    run(folder, output={"path": "local"})
    return folder


def external(address: str, service: str | None = None) -> dict[str, Any]:
    its = [f"--prism_location={prism()}"] if service is None else [f"--job_endpoint={service}"]
    options = [*its, "--environment_type=EXTERNAL", f"--environment_config={address}"]
    return {"name": "PrismRunner" if service is None else "PortableRunner", "options": options}


@pytest.mark.slow
@needs_prism
def test_two_workers_elsewhere_give_the_same_bytes(small: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with worker_pool(tmp_path / "elsewhere", python=warm.python()) as address, spread_over(2):
        found = run(small, output={"path": "external"}, runner={**external(address), "dedup_parts": 3})
    assert checksums(pathlib.Path(found.folder)) == checksums(small / "local" / "test")
    left = [path for path in (tmp_path / "elsewhere" / "tmp").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []


@pytest.mark.slow
@needs_prism
def test_a_worker_that_is_killed_ends_the_run_with_one_line_and_no_release(
    small: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """After the last step: the release is built, and has no place. After every other: `python -m benchmarks.engines`."""
    begun = time.monotonic()
    words = r"^a worker died at its work: it was killed, or had no more memory; nothing was released\. Run again"
    with (
        worker_pool(tmp_path / "elsewhere", "PublishRelease", warm.python()) as address,
        pytest.raises(runner.RunError, match=words),
    ):
        run(small, output={"path": "killed"}, runner=external(address))
    assert time.monotonic() - begun < 300
    assert prisms_of(os.getpid()) == []
    assert not list((small / "killed").glob("test*"))
    clean_output(str(small / "killed"), signals=False)
    assert {path.name for path in (small / "killed").iterdir()} == {".signals"}


@needs_prism
def test_an_engine_that_is_killed_ends_the_run_with_one_line(
    small: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wait = execution.wait_for

    def killed(*job: Any) -> None:
        (engine,) = prisms_of(os.getpid())
        engine.kill()
        wait(*job)

    monkeypatch.setattr(execution, "wait_for", killed)
    with pytest.raises(
        BrokenError, match=r"^the engine \(PrismRunner\) went away while the job was at work .*; nothing was"
    ):
        run(small, output={"path": "gone"}, runner={"name": "prism", "options": [f"--prism_location={prism()}"]})
    assert "Traceback" not in capfd.readouterr().err


def test_a_worker_of_an_engine_that_is_gone_says_nothing_more(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """One in this process may be at work when the command has said its line, on files that are there no more."""
    monkeypatch.setattr(sdk_worker, "print", print, raising=False)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    for logger in map(logging.getLogger, ("apache_beam", "great_expectations", "root")):
        request.addfinalizer(functools.partial(logger.setLevel, logger.level))
    with pytest.raises(BrokenError, match="went away"), execution.plainly("PrismRunner"), execution.quiet():
        raise grpc.RpcError("gone")
    sdk_worker.print("Traceback")
    logging.getLogger("apache_beam").error("Traceback")
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.slow
@needs_prism
def test_a_job_that_is_left_alone_is_found_again_and_published(
    small: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, local = small / "sent", checksums(small / "local" / "test")

    def send(**how: Any) -> str:
        recipe = recipe_in(small, output={"path": str(output)}, runner=external(address, service))
        with pytest.raises(JobLeftError, match=r"^Job job-.* goes on\. `lowbackground status ") as left:
            runner.run(recipe, runner.prepare(recipe, str(small)), how.pop("console", QUIET), **how)
        return str(left.value).split("`")[1].split()[-1]

    with job_service() as service, worker_pool(tmp_path / "elsewhere", python=warm.python()) as address:
        attempt = send(wait=False)
        assert re.fullmatch(r"job-\d+ is at work: survey \d+%  \d of 3 files, .*", str(status_of(attempt, QUIET)))
        with pytest.raises(
            FolderError, match=f"a job was sent that makes this release; `lowbackground status {attempt}`"
        ):
            run(small, output={"path": str(output)})
        assert f"left {attempt}: a job was sent" in clean_output(str(output), signals=False)
        shown = io.StringIO()
        result = status_of(attempt, Console(file=shown), wait=True)
        assert isinstance(result, runner.Result)
        assert re.search(r"decide +72 documents", shown.getvalue())  # which this process has from Prism
        assert checksums(pathlib.Path(result.folder)) == local
        assert result.exit_code == runner.PASSED
        with pytest.raises(RecipeError, match="is no job that was sent"):
            status_of(attempt, QUIET)

        # Ctrl-C, where a person says that the job is to go on.
        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(execution, "wait_for", interrupt)
        monkeypatch.setattr(execution.typer, "confirm", lambda question, **_: False)
        output = small / "interrupted"
        attempt = send(console=Console(file=io.StringIO(), force_terminal=True))
        said = status_of(attempt, QUIET, cancel=True)
        assert "is given up, and nothing is released" in said
    clean_output(str(output), signals=False)
    assert not list(output.glob("test*"))


def told(folder: pathlib.Path, *words: str) -> tuple[int, str]:
    """What a command of its own says on standard output, and with which code it leaves."""
    command = [*warm.python(), "-m", "pipeline.cli", *words]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@needs_prism
def test_status_is_a_command_of_its_own_with_the_exit_codes_of_run(small: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def send(output: str, *changes: str) -> str:
        recipe_in(small, output={"path": output}, runner=external(address, service))
        code, said = told(small, "run", str(small / "recipe.yaml"), "--no-wait", *changes)
        assert code == 0, said
        return str(re.search(r"`lowbackground status (\S+)`", said).group(1))  # type: ignore[union-attr]

    # The pool is a process that can be suspended; the workers that it starts need not import anything.
    with worker_pool(tmp_path / "elsewhere", python=warm.python(), pool=[sys.executable]) as address:
        ((pool, _),) = [one for one in seen(psutil.Process.cmdline) if "worker_pool_main" in " ".join(one[1])]
        with job_service() as service:
            pool.suspend()  # whatever else happens, the job is not done before it goes on
            passes = send("passes")
            code, said = told(small, "status", passes)
            assert (code, "is at work" in said) == (5, True), said
            pool.resume()
            code, said = told(small, "status", passes, "--wait")
            assert code == 0, said
            assert checksums(small / "passes" / "test") == checksums(small / "local" / "test")
            code, said = told(small, "status", passes)
            assert (code, "is no job that was sent" in said) == (2, True), said

            never = {"expectations": [{"expect": "metric_to_be_between", "metric": "documents", "min": 10_000}]}
            fails = send("fails", "--set", f"expectations={json.dumps(never)}")
            code, said = told(small, "status", fails, "--wait")
            assert (code, "verdict: failed" in said) == (1, True), said
            assert {path.name for path in (small / "fails").iterdir()} == {".signals", "test.rejected"}

            pool.suspend()
            left = send("left")
        code, said = told(small, "status", left)
        assert (code, f"{service} does not answer" in said, said.count("error: ")) == (4, True, 1), said
        assert "is given up, and nothing is released" in status_of(left, QUIET, cancel=True)
        assert not list((small / "left").glob("test*"))


def test_a_job_that_ends_with_the_command_is_not_left_alone(small: pathlib.Path) -> None:
    recipe = recipe_in(small, release="alone")
    with pytest.raises(RecipeError, match="--no-wait: FnApiRunner or its workers end with this command"):
        runner.run(recipe, runner.prepare(recipe, str(small)), QUIET, wait=False)


class Slow(beam.DoFn):
    """Slow enough for Prism to split its bundle in two; the two end at the same moment if they meet."""

    together = threading.Barrier(2)

    def __init__(self) -> None:
        self.its = beam.metrics.Metrics.counter("n", "its own")

    def process(self, element: int):  # type: ignore[no-untyped-def]
        time.sleep(2)
        yield element

    def finish_bundle(self) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):  # Prism did not split it: one bundle, alone
            self.together.wait(10)
        self.its.inc()


@needs_prism
def test_what_prism_forgets_is_counted_all_the_same(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two bundles that tell it of a new counter at once it keeps one, and asks only then what the counter is."""
    ask = sdk_worker.SdkHarness._request_monitoring_infos
    late = lambda *words: threading.Timer(3, ask, words).start()  # noqa: E731 (as on a machine with too much to do)
    monkeypatch.setattr(sdk_worker.SdkHarness, "_request_monitoring_infos", late)
    config = RunnerConfig(name="PrismRunner", options=(f"--prism_location={prism()}",))
    with engines.engine(config) as its:
        root = beam.Pipeline(its, PipelineOptions(["--runner=PrismRunner", *config.options]))
        two = root | counted.Create("two", [1, 2], int) | beam.ParDo(Slow()).with_output_types(int)
        (two, two | beam.Filter(bool)) | counted.Flatten("twice")
        root | "Counts" >> counted.Total(str(tmp_path / "counts"))
        result = root.run()
        result.wait_until_finish()
        (own,) = result.metrics().query(MetricsFilter().with_namespace("n"))["counters"]
    # Of two where they met, as on a quiet machine: why ours are no counters of Beam's (docs/decisions/0058).
    assert own.committed == 1 or Slow.together.broken
    counted.check(counted.counts(str(tmp_path / "counts")), {"two": 2})


@needs_prism
def test_a_worker_that_cannot_see_what_the_launcher_wrote_says_so_in_one_line(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "corpus", corpus()[:20], files=2)
    start = beam.Pipeline.run

    def unseen(path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", path)

    def elsewhere(*args: object) -> object:
        monkeypatch.setattr(staged, "_held", Forgetful())
        monkeypatch.setattr(staged.files, "read", unseen)
        return start(*args)

    monkeypatch.setattr(beam.Pipeline, "run", elsewhere)
    with pytest.raises(runner.RunError) as error:
        run(tmp_path, runner={"name": "prism", "options": [f"--prism_location={prism()}"]})
    assert re.fullmatch(
        r"a worker cannot read /\S+ \(No such file or directory\), which the launcher .*", str(error.value)
    )
    assert "Traceback" not in capfd.readouterr().err


@needs_prism
def test_no_engine_outlives_a_command_that_is_stopped(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "corpus", corpus(), files=4)
    recipe_in(tmp_path, runner={"name": "prism", "options": [f"--prism_location={prism()}"]})
    command = [sys.executable, "-m", "pipeline.cli", "run", "recipe.yaml"]
    job = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    engines: list[psutil.Process] = []
    until = time.monotonic() + 300
    while not engines and job.poll() is None and time.monotonic() < until:
        engines = prisms_of(job.pid)
        time.sleep(0.05)
    time.sleep(1)
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate(timeout=300)
    assert job.returncode == runner.BROKE, said
    assert "Stopped. Nothing was released" in said
    assert len(engines) == 1
    assert has_ended(engines[0].pid)
    assert not (tmp_path / "out" / "test").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PrismRuner", "there is no runner 'PrismRuner'; did you mean 'PrismRunner'?"),
        ("FlinkRuner2", "there is no runner 'FlinkRuner2'; did you mean 'FlinkRunner'?"),
        ("fleet", "there is no runner 'fleet'; known: FnApiRunner, PrismRunner,"),
        ("no.such.Runner", "runner.name: no.such.Runner cannot be loaded"),
        ("os.getcwd", "is no runner of Beam's"),
    ],
)
def test_an_unknown_runner_is_refused_with_the_nearest_name(name: str, words: str, tmp_path: pathlib.Path) -> None:
    write(tmp_path / "corpus", corpus()[:1], files=1)
    with pytest.raises(RecipeError) as error:
        runner.prepare(recipe_in(tmp_path, runner={"name": name}), str(tmp_path))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("config", "is_here"),
    [
        ({}, True),
        ({"name": "prism"}, True),
        ({"name": "prism", "options": ["--environment_type=DOCKER"]}, False),
        ({"name": "PortableRunner", "options": ["--job_endpoint=localhost:8099"]}, False),  # in containers
        ({"name": "PortableRunner", "options": ["--job_endpoint=far:8099", "--environment_type=LOOPBACK"]}, True),
        ({"name": "FlinkRunner", "options": ["--environment_type=EXTERNAL", "--environment_config=localhost:5"]}, True),
        ({"name": "FlinkRunner", "options": ["--environment_type=EXTERNAL", "--environment_config=far:5"]}, False),
        ({"name": "SparkRunner", "options": ["--environment_type=EXTERNAL",
                                             "--environment_options=external_service_address=127.0.0.1:5"]}, True),
        ({"name": "PortableRunner", "options": ["--environment_type=PROCESS", "--job_endpoint=localhost:1"]}, True),
        ({"name": "FlinkRunner", "options": ["--environment_type=PROCESS"]}, False),
        ({"name": "DataflowRunner"}, False),
    ],
)  # fmt: skip
def test_paths_of_this_machine_are_refused_where_workers_may_be_on_others(
    config: dict, is_here: bool, tmp_path: pathlib.Path
) -> None:
    write(tmp_path / "corpus", corpus()[:1], files=1)
    recipe = recipe_in(tmp_path, runner=config)
    assert places.workers_are_here(recipe.runner) == is_here
    if is_here:
        places.refuse_unseen(recipe)
        return
    with pytest.raises(RecipeError, match=r"source topics: .*corpus/\* is a path of this machine") as error:
        places.refuse_unseen(recipe)
    assert "shared_disk: true" in str(error.value)
    places.refuse_unseen(recipe_in(tmp_path, runner={**config, "shared_disk": True}))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"sources": [{"name": "s", "path": "gs://b/in"}]}, "output.path"),
        ({"detector": {"model": "model.bin"}}, "detector.model"),
        ({"evidence": {"phrases": "phrases.yaml"}}, "evidence.phrases"),
        ({"dedup": {"against": ["releases/one"]}}, "dedup.against"),
    ],
)
def test_whatever_a_worker_opens_is_asked_about(changes: dict, what: str, tmp_path: pathlib.Path) -> None:
    far = {"sources": [{"name": "s", "path": "gs://b/in"}], "output": {"path": "gs://b/out"}}
    changes = changes if what == "output.path" else {**far, **changes}
    with pytest.raises(RecipeError, match=f"{what}: "):
        places.refuse_unseen(recipe_in(tmp_path, runner={"name": "FlinkRunner"}, **changes))


@pytest.mark.parametrize("splits", [10, 100_000])
def test_the_graph_is_a_job_that_dataflow_takes_without_a_network(
    splits: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beam's own translation, as far as it goes before it is sent: nobody but Dataflow knows what Dataflow says to it."""
    pytest.importorskip("apache_beam.runners.dataflow.internal.apiclient", reason="without the extra `gcp`")
    from apache_beam.options.pipeline_options import GoogleCloudOptions
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    def refuse(*_: object) -> None:
        raise AssertionError("it asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(GoogleCloudOptions, "_handle_temp_and_staging_locations", lambda self, validator: [])
    options = ["--project=a-project", "--region=europe-west1", "--temp_location=gs://a-bucket/tmp", "--dry_run=true",
               "--no_auth", "--sdk_location=container"]  # fmt: skip
    write(tmp_path / "corpus", corpus()[:30], files=2)
    recipe = recipe_in(tmp_path, runner={"name": "dataflow", "options": options, "shared_disk": True})
    job = of_splits(runner.prepare(recipe, str(tmp_path)), splits)
    dataflow = DataflowRunner()
    with staging(str(tmp_path / "graph")):
        root = JobGraph(dataflow, engines.options(recipe, splits))
        build(root, job)
        root.run()
    sent = dataflow.proto_pipeline
    assert len(sent.SerializeToString()) < MOST_BYTES
    assert {one.urn for one in sent.components.environments.values()} == {"beam:env:docker:v1"}
    done = {one.spec.urn for one in sent.components.transforms.values() if not one.subtransforms}
    known = {f"beam:transform:{what}:v1" for what in ("pardo", "group_by_key", "flatten", "impulse", "window_into")}
    assert {urn for urn in done if "combine" not in urn} <= known
    assert json.loads(str(dataflow.job))["type"] == "JOB_TYPE_BATCH"


@pytest.mark.slow
def test_dataflow_takes_it_where_the_extra_gcp_is_installed(tmp_path: pathlib.Path) -> None:
    """The test above, in an environment that has Beam's extra before everything that this one has."""
    bin_ = environment_of(tmp_path, [f"apache-beam[gcp]=={beam.__version__}"])
    (site,) = (bin_.parent / "lib").glob("python*/site-packages")
    (site / "ours.pth").write_text(sysconfig.get_path("purelib"))
    test = f"{__file__}::{test_the_graph_is_a_job_that_dataflow_takes_without_a_network.__name__}"
    command = [bin_ / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", tmp_path / "there", test]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout


def test_an_option_that_beam_cannot_read_is_refused_in_one_line(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "corpus", corpus()[:1], files=1)
    with pytest.raises(RecipeError) as error:
        runner.prepare(recipe_in(tmp_path, runner={"options": ["--direct_num_workers=many"]}), str(tmp_path))
    assert str(error.value).startswith(
        "runner.options: argument --direct_num_workers: invalid int value: 'many'; write"
    )
    assert "usage" not in capfd.readouterr().err


def test_a_job_server_that_does_not_answer_is_named(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "corpus", corpus()[:1], files=1)
    options = ["--job_endpoint=localhost:1", "--environment_type=LOOPBACK", "--job_server_timeout=1"]
    with pytest.raises(BrokenError, match="no job server answers; is --job_endpoint"):
        run(tmp_path, runner={"name": "PortableRunner", "options": options})
