"""Nothing is lost between stages: every shuffle of the real graph is counted, a loss ends the run, any workers, same bytes."""

import hashlib
import pathlib
import shutil
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.worker import bundle_processor

from expectations.errors import BrokenError
from pipeline import engines, runner
from pipeline.graph import build
from pipeline.recipe import RecipeError
from tests.pipeline.test_flow import corpus, kept_texts, recipe_in, run, write
from transforms.dedup import clusters, seen_keys
from transforms.engine import counted

EVERYTHING = {"paragraphs": {"remove": True}, "verify": "exact", "url": True}


def uncounted(root: beam.Pipeline) -> list[str]:
    """Transforms where data crosses from one stage to another without being counted."""
    found: list[str] = []

    class Visitor(PipelineVisitor):
        def enter_composite_transform(self, node: AppliedPTransform) -> None:
            self.visit_transform(node)

        def visit_transform(self, node: AppliedPTransform) -> None:
            if isinstance(node.transform, (beam.GroupByKey, beam.Flatten)) or node.side_inputs:
                above = node
                while above is not None:
                    if type(above.transform).__module__ == counted.__name__:
                        return
                    above = above.parent
                found.append(node.full_label)

    root.visit(Visitor())
    return found


def crossings(root: beam.Pipeline) -> list[str]:
    """The names of the crossings; of one whose ends are apart, each end."""
    found: list[str] = []

    class Visitor(PipelineVisitor):
        def enter_composite_transform(self, node: AppliedPTransform) -> None:
            transform = node.transform
            if type(transform).__module__ == counted.__name__:
                end = f" {transform.end}" if isinstance(transform, counted.RowsOf) else ""
                found.append(transform.crossing + end)

    root.visit(Visitor())
    return found


def graph(folder: pathlib.Path, **changes: object) -> beam.Pipeline:
    write(folder / "corpus", corpus()[:30], files=2)
    recipe = recipe_in(folder, **changes)
    root = beam.Pipeline(options=engines.options(recipe, 1))
    build(root, runner.prepare(recipe, str(folder)))
    return root


@pytest.mark.parametrize("parts", [1, 3])
def test_every_shuffle_of_the_graph_is_counted_under_a_name_of_its_own(parts: int, tmp_path: pathlib.Path) -> None:
    root = graph(tmp_path, dedup=EVERYTHING, runner={"dedup_parts": parts})
    assert uncounted(root) == []
    named = crossings(root)
    assert len(named) > 30
    assert sorted(set(named)) == sorted(named)
    ends = [name.rsplit(" ", 1) for name in named if name.endswith((" sent", " arrived"))]
    assert len(ends) == 8  # a number said at two places of the graph is said at both
    assert len({name for name, _ in ends}) == 4


@pytest.mark.parametrize(
    "shuffle",
    [
        beam.GroupByKey(),
        beam.Reshuffle(),
        beam.CombinePerKey(sum),
        beam.Map(lambda one, others: one, beam.pvalue.AsList(beam.Pipeline() | beam.Create([1]))),
    ],
    ids=["GroupByKey", "Reshuffle", "CombinePerKey", "AsList"],
)
def test_the_walk_finds_a_shuffle_that_is_not_counted(shuffle: beam.PTransform) -> None:
    root = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    if isinstance(shuffle, beam.ParDo):
        shuffle = beam.Map(
            lambda one, others: one, beam.pvalue.AsList(root | "Side" >> counted.Create("side", [1], int))
        )
    root | counted.Create("pairs", [(1, 2)], tuple[int, int]) | "Uncounted" >> shuffle
    assert any("Uncounted" in label for label in uncounted(root))


def break_beam(monkeypatch: pytest.MonkeyPatch, step: str, times: int) -> list[str]:
    """Let Beam's workers write the first element of one step never, or twice. Returns what they did so far."""
    write_element, done = bundle_processor.DataOutputOperation.process, []

    def faulty(self: bundle_processor.DataOutputOperation, element: object) -> None:
        hit = self.name_context.step_name == step and not done
        done.extend([step] * hit)
        for _ in range(times if hit else 1):
            write_element(self, element)

    monkeypatch.setattr(bundle_processor.DataOutputOperation, "process", faulty)
    return done


# Silent ones: a duplicate that nobody finds, clusters that are none, documents that count twice in every metric.
@pytest.mark.parametrize(
    ("step", "crossing", "times"),
    [
        ("FindClusters/ByPartition/Group/Write", "band keys by partition", 0),
        ("FindClusters/ByLeftSplit/Group/Write", "pairs by left split", 2),
        ("FindClusters/Label/Forest/Combine/Group/Write", "edges of clusters", 0),
        ("FindClusters/Label/ByNode0/Group/Write", "labels by part, round 1", 0),
        ("ChooseSurvivors/Join/ByPart/Group/Write", "contents of splits and labels by part", 2),
        ("Measure/Merge/Combine/Group/Write", "tallies", 2),
    ],
)
def test_a_run_that_loses_or_doubles_an_element_ends_in_an_error_that_names_the_crossing(
    step: str, crossing: str, times: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "corpus", corpus()[:40] + corpus()[250:256], files=3)
    done = break_beam(monkeypatch, step, times)
    with pytest.raises(runner.RunError) as error:
        run(tmp_path, runner={"workers": 2, "dedup_parts": 3 if "labels" in crossing else 1})
    assert done
    words = str(error.value)
    assert words.startswith(f"{crossing}: ")
    assert ("lost" if times == 0 else "too many") in words
    assert "nothing was published" in words
    assert "\n" not in words
    assert not list((tmp_path / "out").glob("test*"))


def test_clusters_that_are_not_whole_end_the_run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "corpus", corpus()[:10] + corpus()[250:256], files=3)
    monkeypatch.setattr(clusters, "ROUNDS", 0)
    monkeypatch.setattr(clusters, "MOST_LEFT", 1)
    with pytest.raises(BrokenError, match=r"^after 0 rounds \d+ contents and more are still to be linked to their"):
        run(tmp_path, runner={"dedup_parts": 3})
    assert not list((tmp_path / "out").glob("test*"))


@pytest.mark.parametrize("times", [0, 2], ids=["lost", "doubled"])
def test_a_document_without_a_decision_or_with_two_ends_the_run(
    times: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "corpus", corpus()[:60], files=3)
    done = break_beam(monkeypatch, "Group/Group/Write", times)
    with pytest.raises(runner.RunError, match="decision"):
        run(tmp_path)
    assert done


class Numbers(beam.DoFn):
    def process(self, part: int):  # type: ignore[no-untyped-def]
        for number in range(part * 100_000, (part + 1) * 100_000):
            yield number % 97, number


class Sums(beam.DoFn):
    def __init__(self) -> None:
        self.n, self.total = beam.metrics.Metrics.counter("n", "n"), beam.metrics.Metrics.counter("n", "total")

    def process(self, group):  # type: ignore[no-untyped-def]
        for number in group[1]:
            self.n.inc()
            self.total.inc(number)


def test_four_workers_lose_nothing_under_load(tmp_path: pathlib.Path) -> None:
    """With Beam's timer the like of this loses a row in a hundred (docs/decisions/0025): it runs for longer than one tick."""
    write(tmp_path / "corpus", corpus()[:1], files=1)
    options = engines.options(recipe_in(tmp_path, runner={"workers": 4}), 4)
    root = beam.Pipeline(options=options)
    (
        root | beam.Create(range(8)) | beam.Reshuffle() | beam.ParDo(Numbers()).with_output_types(tuple[int, int])
        | beam.GroupByKey() | beam.ParDo(Sums())
    )  # fmt: skip
    result = root.run()
    result.wait_until_finish()
    found = {c.key.metric.name: c.committed for c in result.metrics().query()["counters"]}
    assert found == {"n": 800_000, "total": 800_000 * 799_999 // 2}


MAY_DIFFER = {"recipe.yaml", "report/index.html", "MANIFEST.json"}  # these say how many workers there were


@pytest.mark.slow
def test_the_same_bytes_with_one_two_four_and_eight_workers(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And in however many parts labels of duplicates are made, and with a table of keys seen twice or without."""
    languages, years = ("de", "en", "fi", "fr", "it", "pl", "pt"), range(2015, 2024)
    records = [
        {**record, "language": languages[n * n % 7], "created": f"{years[n % 9]}-05-01",
         "generator": f"model {n % 5}" if record["origin"] == "synthetic" else None}
        for n, record in enumerate(corpus())
    ]  # fmt: skip
    for number, name in enumerate(("books", "news", "web")):
        write(tmp_path / name, records[number::3], files=3)
    sources = [
        {"name": name, "path": f"{name}/*", "fields": {"created": "created"}} for name in ("books", "news", "web")
    ]
    (tmp_path / "web" / "broken.jsonl").write_bytes(b'{"id": "bad"\n{"id": "none"}\n')
    releases = {}
    for workers, parts in ((1, 1), (2, 2), (4, 7), (8, 30)):
        if workers == 4:
            monkeypatch.setattr(seen_keys, "MOST_BITS", 0)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        result = run(tmp_path, sources=sources, runner={"workers": workers, "dedup_parts": parts}, dedup=EVERYTHING)
        assert result.exit_code == runner.PASSED
        folder = pathlib.Path(result.folder)
        files = {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }
        releases[workers] = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    one = releases[1]
    assert {name.split("/")[0] for name in one} >= {
        "data", "ledger", "metrics.parquet", "quarantine", "review", "signatures", "sketches.parquet", "verdict.json",
    }  # fmt: skip
    for workers in (2, 4, 8):
        differ = {name for name in one | releases[workers] if one.get(name) != releases[workers].get(name)}
        assert differ == MAY_DIFFER, workers


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--direct_num_workers=4"], "say how many tasks run at a time with runner.workers"),
        (["--direct_running_mode=multi_processing"], "say how many tasks run at a time with runner.workers"),
        (["--experiments=data_buffer_time_limit_ms=100"], "makes Beam's workers lose rows; leave it out"),
        (["--runner=DirectRunner"], "--runner is said as runner.name"),
    ],
)
def test_what_undoes_it_is_refused(options: list[str], words: str, tmp_path: pathlib.Path) -> None:
    write(tmp_path / "corpus", corpus()[:1], files=1)
    recipe = recipe_in(tmp_path, runner={"options": options})
    with pytest.raises(RecipeError) as error:
        runner.prepare(recipe, str(tmp_path))
    assert words in str(error.value)


@pytest.mark.parametrize("name", ["DirectRunner", "SwitchingDirectRunner", "BundleBasedDirectRunner", "DaskRunner"])
def test_runners_that_lose_rows_or_counts_are_refused(name: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(RecipeError, match="use FnApiRunner"):
        recipe_in(tmp_path, runner={"name": name})


def test_groups_that_are_fetched_piece_by_piece_give_the_same_release(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What other runners do with large groups: their values come over gRPC, on the bundle's own thread and no other."""
    write(tmp_path / "corpus", corpus()[:40] + corpus()[250:256], files=3)
    kept = [kept_texts(run(tmp_path, runner={"workers": 2}, release="whole"))]
    start = FnApiRunner.__init__

    def piecemeal(self: FnApiRunner, *args: Any, **options: Any) -> None:
        start(self, *args, **options | {"use_state_iterables": True})

    monkeypatch.setattr(FnApiRunner, "__init__", piecemeal)
    kept.append(kept_texts(run(tmp_path, runner={"workers": 2}, release="piecemeal")))
    assert kept[0] == kept[1]
