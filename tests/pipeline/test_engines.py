"""Other engines: Prism, Beam's portable runner, gives the same bytes, with workers elsewhere too, and is gone after the run.

Prism is made by `go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0` (three minutes of CPU, once).
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import apache_beam as beam
import psutil
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker import sdk_worker

from pipeline import engines, places, runner
from pipeline.commands.demo import build_demo
from pipeline.graph import build
from pipeline.recipe import RecipeError, RunnerConfig
from tests.pipeline.test_flow import corpus, recipe_in, run, write
from tests.pipeline.test_graph_size import MOST_BYTES, Forgetful, of_splits
from tests.pipeline.test_retries import checksums
from transforms.engine import counted, staged
from transforms.engine.staged import staging

ROOT = pathlib.Path(__file__).parents[2]


def prism() -> str | None:
    """Where Prism is, if it is here."""
    folders = [os.environ.get("GOBIN"), os.path.expanduser("~/go/bin")]
    found = shutil.which("prism") or shutil.which("prism", path=os.pathsep.join(filter(None, folders)))
    return found if found and os.path.getsize(found) > 1 << 20 else None


needs_prism = pytest.mark.skipif(prism() is None, reason="no prism here: go install it, as this file's docstring says")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The demo, with a local release of it; paths in its recipe are relative."""
    folder = tmp_path_factory.mktemp("engines")
    build_demo(str(folder / "demo"), False)
    lowbackground(folder / "demo", "run", "recipe.yaml", "--set", "output.path=local")
    return folder / "demo"


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def lowbackground(folder: pathlib.Path, *words: str) -> str:
    command = [sys.executable, "-m", "pipeline.cli", *words]
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


def prisms_of(pid: int) -> list[psutil.Process]:
    """Engines that this process, or one that it started, has started."""
    return [one for one in psutil.Process(pid).children(recursive=True) if one.name() == "prism"]


@contextlib.contextmanager
def worker_pool(folder: pathlib.Path) -> Iterator[str]:
    """Workers in a folder of their own, with temporary files of their own: nothing is shared but what has absolute paths."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    (folder / "tmp").mkdir(parents=True)
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])  # the pool starts `python`
    pool = subprocess.Popen(
        [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"],
        cwd=folder, env=environment(TMPDIR=str(folder / "tmp"), PATH=path), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
                break
            time.sleep(0.1)
        yield f"localhost:{port}"
    finally:
        children = psutil.Process(pool.pid).children(recursive=True)
        pool.terminate()
        for one in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        pool.wait(30)


@needs_prism
@pytest.mark.parametrize("workers", ["LOOPBACK", "EXTERNAL"])
def test_the_demo_is_the_same_bytes_on_prism(workers: str, demo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    local = checksums(demo / "local" / "demo")
    assert {"metrics.parquet", "sketches.parquet", "verdict.json"} < local.keys()
    if workers == "LOOPBACK":
        assert on_prism(demo, "loopback") == local
        return
    with worker_pool(tmp_path / "elsewhere") as address:
        found = on_prism(demo, "external", "--environment_type=EXTERNAL", f"--environment_config={address}")
    assert found == local
    assert [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file() and path.suffix != ".lock"] == []


class Slow(beam.DoFn):
    """Slow enough for Prism to split its bundle in two, which end at the same moment."""

    together = threading.Barrier(2)

    def __init__(self) -> None:
        self.its = beam.metrics.Metrics.counter("n", "its own")

    def process(self, element: int):  # type: ignore[no-untyped-def]
        time.sleep(2)
        yield element

    def finish_bundle(self) -> None:
        self.together.wait(30)
        self.its.inc()


@needs_prism
def test_what_prism_forgets_is_counted_all_the_same(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two bundles that tell it of a new counter at once it keeps one, and asks only then what the counter is."""
    ask = sdk_worker.SdkHarness._request_monitoring_infos
    late = lambda *words: threading.Timer(0.3, ask, words).start()  # noqa: E731 (as on a machine with too much to do)
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
    assert own.committed == 1  # of two: why ours are no counters of Beam's (docs/decisions/0058)
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
    until = time.monotonic() + 120
    while not engines and job.poll() is None and time.monotonic() < until:
        engines = prisms_of(job.pid)
        time.sleep(0.05)
    time.sleep(1)
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate(timeout=120)
    assert job.returncode == runner.BROKE, said
    assert "Stopped. Nothing was released" in said
    assert len(engines) == 1
    assert not engines[0].is_running() or engines[0].status() == psutil.STATUS_ZOMBIE
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
        root = beam.Pipeline(dataflow, engines.options(recipe, splits))
        build(root, job)
        root.run()
    sent = dataflow.proto_pipeline
    assert len(sent.SerializeToString()) < 2 * MOST_BYTES
    assert {one.urn for one in sent.components.environments.values()} == {"beam:env:docker:v1"}
    done = {one.spec.urn for one in sent.components.transforms.values() if not one.subtransforms}
    known = {f"beam:transform:{what}:v1" for what in ("pardo", "group_by_key", "flatten", "impulse", "window_into")}
    assert {urn for urn in done if "combine" not in urn} <= known
    assert json.loads(str(dataflow.job))["type"] == "JOB_TYPE_BATCH"


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
    with pytest.raises(runner.RunError, match="no job server answers; is --job_endpoint"):
        run(tmp_path, runner={"name": "PortableRunner", "options": options})
