"""The command line: parsing, printing and exit codes, nothing else.

Exit codes: 0 passed; 1 the gate failed; 2 the recipe or the command line is wrong; 3 the input is unusable; 4 the run
broke; 5 its job is still at work. A warning alone never fails.
"""

import contextlib
import gc
import importlib.metadata
import itertools
import logging
import os
import shutil
import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core
from rich.console import Console

from expectations.errors import BrokenError, UserError
from expectations.escaping import terminal
from expectations.imports import lean
from expectations.judge import gx_process
from pipeline import heap, log
from pipeline.redaction import redact_message

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

logging.getLogger().setLevel(logging.ERROR)  # before Beam is imported: it warns of extras that nobody asked for

SECTIONS = {
    "Make a release": ("demo", "init", "check", "plan", "run", "status", "withdraw"),
    "Judge and compare releases": ("gate", "diff", "history", "propose", "verify"),
    "Give it to others": ("sign", "export", "push", "papers", "report-upstream"),
    "Look at documents": ("explain", "provenance", "serve", "score", "detector"),
    "Ask people": ("review", "audit"),
    "Care": ("schema", "clean"),
}


WORDS = "lowbackground.words"  # under this the context has all that stands on the command line
FLAGS = ("-q", "--quiet", "-v", "--verbose")  # of every command


def _general_first(words: list[str]) -> list[str]:
    """Options of every command may stand anywhere, as in `lowbackground run recipe.yaml -v`."""
    end = words.index("--") if "--" in words else len(words)
    first: list[str] = []
    rest: list[str] = []
    left = iter(words[:end])
    for word in left:
        if word == "--log-file":
            first += [word, *itertools.islice(left, 1)]
        else:
            (first if word in FLAGS or word.startswith("--log-file=") else rest).append(word)
    return first + rest + words[end:]


class Commands(typer.core.TyperGroup):
    """The list of commands: in sections, each with its whole first sentence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the options of every command from wherever they stand."""
        ctx.meta.setdefault(WORDS, args)
        return list(super().parse_args(ctx, args if ctx.parent else _general_first(args)))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list into the help."""
        left = [
            name for name in self.list_commands(ctx) if name not in {n for names in SECTIONS.values() for n in names}
        ]
        for title, names in {**SECTIONS, "Commands": left}.items():
            shown = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name, (command.help or "").partition("\n\n")[0]) for name, command in shown if command is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


app = typer.Typer(
    name="lowbackground",
    cls=Commands,
    help="Build training corpora whose share of synthetic text is known, bounded and written down.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
detector_app = typer.Typer(cls=Commands, help="Train and inspect detectors.", no_args_is_help=True)
app.add_typer(detector_app, name="detector")
audit_app = typer.Typer(cls=Commands, help="Certify a release by people's labels.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")
review_app = typer.Typer(cls=Commands, help="Label documents.", no_args_is_help=True)
app.add_typer(review_app, name="review")


class Screen(Console):
    """A terminal that text from anywhere may be shown on: it obeys none of it, and sees no secret."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As Rich's, with every text made harmless. What is said beside an answer is in the log too."""
        shown = [terminal(redact_message(o)) if isinstance(o, str) else o for o in objects]
        if self.stderr:
            log.SAID.info("%s", " ".join(map(str, shown)))
        super().print(*shown, **options)


out = Screen(highlight=False, soft_wrap=True, emoji=False)  # a text may say ":smile:"
err = Screen(stderr=True, highlight=False, soft_wrap=True, emoji=False)
progress = Screen(stderr=True, highlight=False, soft_wrap=True, emoji=False)  # what `--quiet` leaves out

WRONG = 2  # the exit code of a recipe or a command line that the user can mend
AT_WORK = 5  # the exit code of a job that is not at its end
BROKE = 4  # the exit code of whatever is no verdict and no mistake of the user
INTERRUPTED = 130  # what the command line library makes of Ctrl-C


def _version(asked: bool) -> None:
    if asked:
        print(f"lowbackground {importlib.metadata.version('lowbackground')}")  # noqa: T201 (nothing else is wanted)
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version, and nothing else")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="no progress and no notes; errors and answers only")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="what the engines say while they work, on standard error")
    ] = False,
    log_file: Annotated[
        str | None,
        typer.Option("--log-file", help="add the same to this file, with times and traces", metavar="FILE"),
    ] = None,
) -> None:
    """Build training corpora whose share of synthetic text is known, bounded and written down."""
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other; say one", param_hint="--verbose")
    progress.quiet = quiet
    if log_file is not None:
        _check_log(log_file, [word for word in ctx.meta[WORDS] if word != log_file and os.path.exists(word)])
    log.start(verbose, log_file)


def _check_log(path: str, inputs: list[str]) -> None:
    from pipeline.reading.outputs import check_output

    way_out = "it is no log of ours to add to, so choose another name"
    check_output(path, inputs, False, log.is_log, "--log-file", way_out)


def _loaded(path: str, changes: list[str]) -> "Recipe":
    """A recipe, none of whose sources would read the log."""
    from pipeline.recipe import RecipeError, load_recipe

    loaded = load_recipe(path, changes)
    if (written := log.path()) is not None:
        paths = [source.path for source in loaded.sources]
        try:
            _check_log(written, [one for some in paths for one in ([some] if isinstance(some, str) else some)])
        except RecipeError:
            log.refuse()
            raise
    return loaded


RecipePath = Annotated[str, typer.Argument(help="the recipe, a YAML file", metavar="RECIPE")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="change one key, as ratio.max_synthetic_share=0.1", metavar="KEY=VALUE"),
]
Output = Annotated[
    str | None, typer.Option("--output", help="write it to this file, and the text to the screen", metavar="FILE")
]

ReleaseFolder = Annotated[str, typer.Argument(help="folder of a release", metavar="RELEASE")]
AnyFolder = Annotated[str, typer.Argument(help="folder of a release or a rejection", metavar="RELEASE")]
DetectorFolder = Annotated[str, typer.Option("--output", "-o", help="folder of the detector to write")]
ParquetFile = Annotated[str, typer.Option("--output", "-o", help="Parquet file to write")]
Model = Annotated[str | None, typer.Option("--model", help="folder or file of a detector; default: the bundled one")]
Json = Annotated[bool, typer.Option("--json", help="the answer as JSON, for a program")]
Force = Annotated[bool, typer.Option("--force", help="replace a file that is there")]
Today = Annotated[
    str | None, typer.Option("--today", help="the day that waivers are held against", metavar="YYYY-MM-DD")
]


@app.command()
def demo(
    folder: Annotated[str, typer.Argument(help="where to build it")] = "lowbackground-demo",
    force: Annotated[bool, typer.Option("--force", help="build it again over a demo that was changed")] = False,
) -> None:
    """Build a small real corpus and run the whole flow on it.

    Example: lowbackground demo
    """
    gx_process.start()
    from pipeline.commands import demo as demo_corpus
    from pipeline.commands.demo import planted

    out.print(
        f"Building a corpus in {folder}/ (CPython's own documentation, machine-written documents, planted damage)"
    )
    found = demo_corpus.build_demo(folder, force)
    out.print(planted(found))
    _run(_loaded(os.path.join(folder, "recipe.yaml"), []), os.path.join(folder, "recipe.yaml"), replace=True)


@app.command()
def init(
    data: Annotated[list[str], typer.Argument(help="folders, files or globs to read")],
    output: Annotated[str, typer.Option("--output", "-o", help="the recipe to write")] = "recipe.yaml",
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="of the input, if neither endings nor first bytes say it: text (a file a document), lines, csv, ...",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Look at some input and write a commented recipe for it.

    Example: lowbackground init corpus/ -o recipe.yaml
    """
    from pipeline.commands.init import write_recipe
    from pipeline.progress import steps

    with steps(progress) as step:
        said = write_recipe(data, output, force, form, step)
    out.print(said, markup=False)


@app.command()
def check(recipe: RecipePath, overrides: Overrides = None, as_json: Json = False) -> None:
    """Check a recipe and its input without running it; print every setting.

    Example: lowbackground check recipe.yaml --set ratio.max_synthetic_share=0.1
    """
    from pipeline.reading.answer import deliver
    from pipeline.reading.summary import checked, checked_json
    from pipeline.runner import prepare

    loaded = _loaded(recipe, overrides or [])
    job = prepare(loaded, os.path.dirname(recipe) or ".")
    deliver(checked_json(loaded, job) if as_json else checked(loaded, job) + "\n", None, "")


@app.command()
def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    replace: Annotated[bool, typer.Option("--replace", help="replace a release of the same name")] = False,
    runner: Annotated[str | None, typer.Option("--runner", help="a Beam runner, as on Beam's command line")] = None,
    today: Today = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="send the job to an engine that goes on alone, and say how to come back")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a recipe: read, score, deduplicate, balance, judge, and release if the verdict allows it.

    Example: lowbackground run recipe.yaml
    """
    gx_process.start()  # first of all: its import is over before there is work for every core
    changes = [*(overrides or ()), *([f"runner.name={runner}"] if runner else [])]
    _run(_loaded(recipe, changes), recipe, replace, today, as_json, not no_wait)


def _run(
    recipe: "Recipe", path: str, replace: bool, today: str | None = None, as_json: bool = False, wait: bool = True
) -> None:
    from pipeline.jobs import JobLeftError
    from pipeline.progress import compiling
    from pipeline.reading.answer import deliver
    from pipeline.reading.summary import ran, ran_json
    from pipeline.runner import prepare
    from pipeline.runner import run as run_job

    try:
        with compiling(err):
            job = prepare(recipe, os.path.dirname(path) or ".", today)
            result = run_job(recipe, job, progress, replace, wait)
        if recipe.papers:
            from pipeline.commands.papers import write_asked

            write_asked(recipe, result, today)
    except JobLeftError as left:
        out.print(str(left), markup=False)
        raise typer.Exit(AT_WORK if wait else 0) from None
    except KeyboardInterrupt:  # the command line library would call it a failed gate: exit code 1
        err.print("Stopped. Nothing was released; `lowbackground clean` removes what is left.")
        raise typer.Exit(4) from None
    deliver(ran_json(result, recipe) if as_json else ran(result, recipe, job.splits, path) + "\n", None, "")
    raise typer.Exit(result.exit_code)


@app.command()
def status(
    job: Annotated[str, typer.Argument(help="folder that `run --no-wait` named", metavar="JOB")],
    wait: Annotated[bool, typer.Option("--wait", help="until it is done, and show how far it is")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="end the job; nothing is released")] = False,
    as_json: Json = False,
) -> None:
    """Say how far a job is that goes on alone (exit code 5); once it is done, publish its release as `run` does.

    Example: lowbackground status releases/.staging/demo-4b5f4da0c4ea4d5a8ae3a8ef5e0b1c77 --wait
    """
    from pipeline.commands.status import status_of
    from pipeline.reading.answer import deliver
    from pipeline.reading.summary import ran, ran_json
    from pipeline.recipe import load_recipe

    result = status_of(job, progress, wait, cancel)
    if isinstance(result, str):
        out.print(result, markup=False)
        raise typer.Exit(0 if cancel else AT_WORK)
    path = os.path.join(result.folder, "recipe.yaml")
    recipe = load_recipe(path)
    if recipe.papers:
        from pipeline.commands.papers import write_asked

        write_asked(recipe, result, None)
    deliver(ran_json(result, recipe) if as_json else ran(result, recipe, path=path) + "\n", None, "")
    raise typer.Exit(result.exit_code)


@app.command()
def plan(
    recipe: RecipePath,
    overrides: Overrides = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            help="what the table is by: source (default), language, generator, kind, stratum, or structure, "
            "if ratio.favour is by structures; may be given again",
        ),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text or json")] = "text",
    as_json: Json = False,
) -> None:
    """Say what mixture a recipe gives, without writing a release: what is taken, what binds, what is lost.

    Example: lowbackground plan recipe.yaml --by language
    """
    from pipeline.commands.plan import plan_mixture
    from pipeline.runner import prepare

    loaded = _loaded(recipe, overrides or [])
    job = prepare(loaded, os.path.dirname(recipe) or ".")
    found = plan_mixture(loaded, job, progress, by or ["source"], _form(form, as_json))
    out.print(found.text, markup=False)
    raise typer.Exit(1 if found.refused else 0)


@app.command()
def gate(
    release: ReleaseFolder,
    suite: Annotated[str | None, typer.Option("--suite", help="a preset or a YAML file; default: the recipe's")] = None,
    overrides: Overrides = None,
    audit: Annotated[
        str | None, typer.Option("--audit", help="a certificate of this release; it and the estimate must agree")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text, json, junit, github, markdown or sarif")] = "text",
    as_json: Json = False,
    output: Output = None,
    today: Today = None,
    data_docs: Annotated[
        str | None,
        typer.Option("--data-docs", help="also write a page of Great Expectations' Data Docs", metavar="DIR"),
    ] = None,
    checksums: Annotated[
        bool, typer.Option("--checksums", help="hold every file's checksum against the manifest; reads the shards")
    ] = False,
    force: Force = False,
) -> None:
    """Judge a release again, on its metrics, without the corpus; what is not as its manifest says is refused.

    Example: lowbackground gate releases/v2 --suite strict --format junit --output verdict.xml
    """
    gx_process.start()
    from expectations.judge.formats import FORMATS
    from pipeline.advice.remedy import of_release
    from pipeline.commands.gate import check_outputs, judge_again, write_data_docs
    from pipeline.reading.answer import chosen, deliver
    from pipeline.reading.checksums import check_release

    form = _form(form, as_json)
    written = chosen(form, FORMATS)
    check_outputs(release, suite, audit, output, data_docs, force)
    check_release(release, checksums, progress)
    verdict, code = judge_again(release, suite, overrides or (), audit, today)
    if data_docs:
        write_data_docs(verdict, data_docs)
    deliver(written(verdict), output, FORMATS["text"](verdict))
    if last := of_release(verdict, release, suite, overrides or ()):
        (out if output or form == "text" else err).print(last, markup=False)
    raise typer.Exit(code)


@app.command()
def verify(
    release: AnyFolder,
    key: Annotated[
        str | None, typer.Option("--key", help="a public key, PEM, that must have signed it", metavar="FILE")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read every byte of a release, and prove that no document is lost; exit code 1 if something is not as it says.

    Example: lowbackground verify releases/v2 --key public.pem
    """
    from pipeline.commands.verify import verified_json, verify_release
    from pipeline.reading.answer import deliver

    if as_json:
        said, good = verified_json(release, progress, key)
    else:
        said, good = verify_release(release, progress, key)
    deliver(said if as_json else said + "\n", None, "")
    raise typer.Exit(0 if good else 1)


@app.command()
def sign(
    release: ReleaseFolder,
    key: Annotated[str, typer.Option("--key", help="a private key, PEM: Ed25519 or ECDSA P-256", metavar="FILE")],
    force: Force = False,
) -> None:
    """Sign what a release is, how it was made and what its gate said; the statements go beside it.

    Example: lowbackground sign releases/v2 --key key.pem
    """
    from pipeline.commands.sign import sign_release

    out.print(sign_release(release, key, progress, force), markup=False)


@app.command()
def provenance(
    document: Annotated[
        str, typer.Argument(help="its id, or the first digits of it, or the input's own id", metavar="ID")
    ],
    releases: Annotated[list[str], typer.Argument(help="folders of releases, the oldest first", metavar="RELEASE...")],
    as_json: Json = False,
) -> None:
    """Tell one document's life through releases: where it came from, what was known of it, when it came and went.

    Example: lowbackground provenance 3f2a91 releases/v1 releases/v2
    """
    from pipeline.commands.provenance import life_json, life_of, life_text
    from pipeline.reading.answer import deliver

    life = life_of(document, releases)
    deliver(life_json(life) if as_json else life_text(life) + "\n", None, "")


@app.command()
def withdraw(
    release: Annotated[str, typer.Argument(help="folder of a release", metavar="RELEASE")],
    lists: Annotated[list[str], typer.Argument(help="lists of removals, JSON lines", metavar="LIST...")],
    name: Annotated[str | None, typer.Option("--name", help="of the new release; else RELEASE-withdrawn")] = None,
    cards: Annotated[
        str | None,
        typer.Option("--cards", help="folder of models' cards: which were trained on it is named", metavar="DIR"),
    ] = None,
    today: Today = None,
    as_json: Json = False,
) -> None:
    """Make a release without what lists of removals name, from the release alone; exit code 1 if its suite now fails.

    Releases beside it that hold the same documents or were made with it are named, and models whose cards name one of these.

    Example: lowbackground withdraw releases/v2 requests.jsonl --name v2.1 --cards models
    """
    from pipeline.commands.withdraw import receipt_json, receipt_text
    from pipeline.commands.withdraw import withdraw as make
    from pipeline.reading.answer import deliver

    receipt = make(release, lists, name, progress, today, cards)
    deliver(receipt_json(receipt) if as_json else receipt_text(receipt, release) + "\n", None, "")
    raise typer.Exit(0 if receipt.passed else 1)


@app.command()
def export(
    release: ReleaseFolder,
    folder: Annotated[str, typer.Argument(help="folder to make", metavar="OUT")],
    format_: Annotated[
        str, typer.Option("--format", help="jsonl.zst, webdataset, megatron, mds or delta")
    ] = "jsonl.zst",
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="a tokenizer.json, or tiktoken:NAME; of megatron and mds")
    ] = None,
    eod: Annotated[str | None, typer.Option("--eod", help="token behind each document, of megatron")] = None,
    text: Annotated[str, typer.Option("--text", help="what the text is called")] = "text",
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="that goes along; again for more; default: all, of mds the source"),
    ] = None,
    repeat: Annotated[bool, typer.Option("--repeat", help="write a document as often as it counts (copies)")] = False,
    shard_bytes: Annotated[
        int, typer.Option("--shard-bytes", min=1, help="about how much text a file holds, of jsonl.zst and webdataset")
    ] = 500_000_000,
    as_json: Json = False,
) -> None:
    """Write a release in a format that trainers read, or its ledger and metrics as Delta tables; counted when it is written.

    Example: lowbackground export releases/demo exported --format webdataset
    """
    import orjson

    from pipeline.commands.export import Asked, export_release, export_text
    from pipeline.reading.answer import deliver

    asked = Asked(format_, tokenizer, eod, text, tuple(column or ()), repeat, shard_bytes)
    about = export_release(release, folder, asked, progress)
    deliver((orjson.dumps(about).decode() if as_json else export_text(about, folder)) + "\n", None, "")


@app.command()
def push(
    release: ReleaseFolder,
    target: Annotated[str, typer.Argument(help="hf://datasets/org/name", metavar="TARGET")],
    public: Annotated[
        bool, typer.Option("--public", help="a repository that is made may be read by everybody")
    ] = False,
) -> None:
    """Put a release onto the Hugging Face hub as a new revision; the token is HF_TOKEN of the environment.

    Example: lowbackground push releases/v2 hf://datasets/org/name
    """
    from pipeline.commands.push import push_release, pushed_text

    out.print(pushed_text(push_release(release, target, progress, not public), release), markup=False)


Html = Annotated[str | None, typer.Option("--html", help="write the same to this file too, as a page", metavar="FILE")]
FailOnWorse = Annotated[bool, typer.Option("--fail-on-worse", help="exit code 1 if it got worse")]
TextOrJson = Annotated[str, typer.Option("--format", help="text or json")]
TEXT_OR_JSON = {"text": "text", "json": "json"}


def _form(form: str, as_json: bool) -> str:
    """What `--format` and `--json`, which is short for one of its words, come to."""
    if as_json and form not in ("text", "json"):
        raise typer.BadParameter(f"--json and --format {form} exclude each other; say one", param_hint="--json")
    return "json" if as_json else form


@app.command()
def diff(
    first: Annotated[str, typer.Argument(help="folder of the earlier release", metavar="RELEASE")],
    second: Annotated[str, typer.Argument(help="folder of the later one", metavar="RELEASE")],
    form: TextOrJson = "text",
    as_json: Json = False,
    html: Html = None,
    fail_on_worse: FailOnWorse = False,
    force: Force = False,
) -> None:
    """Say what moved between two releases, early signs of collapse first, and which documents came and went.

    Example: lowbackground diff releases/v1 releases/v2 --fail-on-worse
    """
    from pipeline.commands.diff import difference
    from pipeline.reading.answer import chosen, deliver

    answer, worse = difference(first, second, chosen(_form(form, as_json), TEXT_OR_JSON), html, force)
    deliver(answer, None, "")
    raise typer.Exit(int(worse and fail_on_worse))


@app.command()
def history(
    releases: Annotated[list[str], typer.Argument(help="folders of releases, the oldest first", metavar="RELEASE...")],
    form: TextOrJson = "text",
    as_json: Json = False,
    html: Html = None,
    fail_on_worse: FailOnWorse = False,
    force: Force = False,
) -> None:
    """Show how the numbers moved over releases, each as a line of small bars, and what it comes to.

    Example: lowbackground history releases/v1 releases/v2 releases/v3
    """
    from pipeline.commands.history import history as history_of
    from pipeline.reading.answer import chosen, deliver

    answer, worse = history_of(releases, chosen(_form(form, as_json), TEXT_OR_JSON), html, force)
    deliver(answer, None, "")
    raise typer.Exit(int(worse and fail_on_worse))


@app.command()
def papers(
    releases: Annotated[list[str], typer.Argument(help="folders of releases", metavar="RELEASE...")],
    output: Annotated[str, typer.Option("--output", "-o", help="folder for the papers")] = "papers",
    form: Annotated[
        list[str] | None, typer.Option("--form", help="write this one only; may be repeated", metavar="NAME")
    ] = None,
    today: Annotated[str | None, typer.Option("--today", help="the day of the papers", metavar="YYYY-MM-DD")] = None,
    force: Force = False,
) -> None:
    """Write what laws and other tools ask of a corpus, from what its releases hold; what they do not say is "not known".

    Example: lowbackground papers releases/v1 releases/v2 --output papers --form eu-summary
    """
    from pipeline.commands.papers import write_papers

    for path in write_papers(releases, output, form or [], today, force):
        out.print(f"written to {path}", markup=False)


@app.command("report-upstream")
def report_upstream(
    release: AnyFolder,
    source: Annotated[str, typer.Argument(help="name of a source of its recipe", metavar="SOURCE")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="write it to this file", metavar="FILE")] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, help="at most so many of each reason")] = 3,
    no_text: Annotated[bool, typer.Option("--no-text", help="leave out the texts")] = False,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Write to the maintainer of a source what is wrong with it: counts, examples, how to see it.

    Example: lowbackground report-upstream releases/v1 web --output issue.md
    """
    from expectations.papers.upstream import as_issue, as_machine_report
    from pipeline.commands.report_upstream import upstream_report
    from pipeline.reading.answer import deliver
    from pipeline.reading.outputs import check_output

    if output is not None:
        check_output(output, [release], force)
    report = upstream_report(release, source, examples, not no_text)
    deliver((as_machine_report if as_json else as_issue)(report), output, "")


@app.command()
def propose(
    releases: Annotated[list[str], typer.Argument(help="folders of reference releases", metavar="RELEASE...")],
    output: Annotated[str, typer.Option("--output", "-o", help="the suite to write")] = "suite.yaml",
    force: Force = False,
) -> None:
    """Write a suite from releases that are good, with limits from their own spread.

    Example: lowbackground propose releases/v1 releases/v2 -o suite.yaml
    """
    from pipeline.commands.propose import propose as propose_suite

    out.print(propose_suite(releases, output, force), markup=False)


@app.command()
def explain(
    release: AnyFolder,
    doc_id: Annotated[
        str | None,
        typer.Argument(help="the ledger's id, the beginning of one, or the input's own id", metavar="ID"),
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", min=20, help="of the texts side by side; default: the terminal's, else 100")
    ] = None,
    no_text: Annotated[bool, typer.Option("--no-text", help="leave out the texts")] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="list documents that were dropped for it, as near_duplicate")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="documents to list, at most")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="the ledger's rows as JSON, for a program")] = False,
) -> None:
    """Say what became of one document, and why; show a duplicate beside the one that is kept for it.

    Example: lowbackground explain releases/demo --reason near_duplicate --n 5
    """
    from pipeline.advice.side_by_side import MIN_WIDTH
    from pipeline.commands.explain import documents_json, explain_document, find_documents, list_documents
    from pipeline.reading.answer import deliver

    if doc_id is None and reason is None:
        raise typer.BadParameter("give the id of a document, or --reason to find some", param_hint="ID")
    if doc_id is None or as_json:
        rows = find_documents(release, reason, n, doc_id)
        deliver(documents_json(release, rows) if as_json else list_documents(rows) + "\n", None, "")
        return
    width = width or max(MIN_WIDTH, shutil.get_terminal_size((100, 24)).columns)
    out.print(explain_document(release, doc_id, width, not no_text), markup=False)


@app.command()
def schema(
    what: Annotated[str, typer.Argument(help="suite, recipe or structures", metavar="suite|recipe|structures")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="file to write; default: the screen")] = None,
    force: Force = False,
) -> None:
    """Print the JSON Schema of a file that people write, for their editors.

    Example: lowbackground schema recipe -o recipe.schema.json
    """
    from pipeline.commands.schema import schema_of
    from pipeline.reading.answer import deliver
    from pipeline.reading.outputs import check_output

    answer = schema_of(what)
    if output is not None:
        check_output(output, [], force)
    deliver(answer, output, "")


@app.command()
def clean(
    output: Annotated[str, typer.Argument(help="folder of releases (output.path of the recipe)")],
    signals: Annotated[bool, typer.Option("--signals", help="also delete the signal store")] = False,
) -> None:
    """Delete what killed runs left behind. Releases are never touched.

    Example: lowbackground clean releases
    """
    from pipeline.commands.clean import clean_output

    out.print(clean_output(output, signals), markup=False)


@app.command()
def score(
    data: Annotated[list[str], typer.Argument(help="folders, files or globs to read", metavar="INPUT...")],
    output: ParquetFile,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="column of the input to keep; may be given again")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="the input's text column, if it is not found")] = None,
    model: Model = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Score any input with the detector alone.

    Example: lowbackground score corpus/ -o scores.parquet --keep url
    """
    from pipeline.commands.score import score_input, scored_json, scored_text
    from pipeline.reading.answer import deliver

    found = score_input(data, output, tuple(keep or ()), text, model, force)
    deliver((scored_json if as_json else scored_text)(found), None, "")


Labelled = Annotated[list[str], typer.Argument(help="Parquet files with the columns text and label", metavar="DATA...")]
Evaluate = Annotated[
    list[str] | None,
    typer.Option("--evaluate", help="Parquet file to evaluate on, never trained on; may be given again"),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", help="leave out rows of this kind; may be given again", metavar="COLUMN=VALUE"),
]


@detector_app.command("train")
def detector_train(
    data: Labelled,
    output: DetectorFolder,
    expert: Annotated[
        list[str] | None,
        typer.Option(
            "--expert",
            help="text of a new model with pair_id: an expert of its own; may be given again",
            metavar="FILE",
        ),
    ] = None,
    evaluate: Evaluate = None,
    exclude: Exclude = None,
    force: Force = False,
) -> None:
    """Train a detector, calibrate it on sources it did not see, write its card, and say what each expert gains.

    Example: lowbackground detector train labelled.parquet --expert new-model.parquet -o my-detector
    """
    from pipeline.commands.score import train_detector

    out.print(train_detector(data, output, evaluate or [], exclude or [], progress, force, expert or []), markup=False)


@detector_app.command("evaluate")
def detector_evaluate(data: Labelled, model: Model = None) -> None:
    """Say how well a detector tells labelled text apart, in all and by source, language, generator and length.

    Example: lowbackground detector evaluate other.parquet --model my-detector
    """
    from pipeline.commands.score import evaluate_detector

    out.print(evaluate_detector(data, model), markup=False)


@detector_app.command("words")
def detector_words(
    data: Labelled,
    output: DetectorFolder,
    evaluate: Evaluate = None,
    exclude: Exclude = None,
    force: Force = False,
) -> None:
    """Count in which documents words occur, as a detector that needs no training: a cross-check of another one.

    Example: lowbackground detector words labelled.parquet -o words
    """
    from pipeline.commands.score import count_detector

    out.print(count_detector(data, output, evaluate or [], exclude or [], progress, force), markup=False)


@detector_app.command("calibrate")
def detector_calibrate(
    model: Annotated[str, typer.Argument(help="a .bin, a detector's folder, or plugin:NAME", metavar="MODEL")],
    data: Labelled,
    output: DetectorFolder,
    evaluate: Evaluate = None,
    exclude: Exclude = None,
    min_tokens: Annotated[int, typer.Option("--min-tokens", min=1, help="shorter documents get no score")] = 50,
    target_fpr: Annotated[
        float, typer.Option("--target-fpr", min=0.0001, max=0.2, help="human documents to call synthetic, a fraction")
    ] = 0.01,
    force: Force = False,
) -> None:
    """Measure what a model's scores mean, on labelled text that it was not trained on.

    Example: lowbackground detector calibrate model.bin labelled.parquet -o my-detector
    """
    from pipeline.commands.score import calibrate_detector

    out.print(
        calibrate_detector(model, data, output, evaluate or [], exclude or [], min_tokens, target_fpr, force),
        markup=False,
    )


@detector_app.command("card")
def detector_card(model: Model = None) -> None:
    """Print the model card of a detector.

    Example: lowbackground detector card --model my-detector
    """
    from pipeline.commands.score import card_of

    out.print(card_of(model), markup=False)


@detector_app.command("selftest")
def detector_selftest(data: Labelled, model: Model = None) -> None:
    """Plant known shares of machine text in labelled text, and say how well they are estimated and bounded.

    Example: lowbackground detector selftest labelled.parquet
    """
    from pipeline.commands.score import selftest_detector

    out.print(selftest_detector(data, model), markup=False)


@audit_app.command("sample")
def audit_sample(
    release: ReleaseFolder,
    output: ParquetFile,
    n: Annotated[int, typer.Option("--n", min=1, help="draws that certify; 311 pass with up to 9 synthetic")] = 311,
    by: Annotated[str, typer.Option("--by", help="documents, or tokens: drawn in proportion to length")] = "documents",
    source: Annotated[str | None, typer.Option("--source", help="only documents of this source")] = None,
    everything: Annotated[bool, typer.Option("--all", help="audit declared documents as well")] = False,
    by_score: Annotated[
        bool, typer.Option("--by-score", help="three of twenty draws where scores are highest: fewer labels do")
    ] = False,
    first_look: Annotated[
        int | None, typer.Option("--first-look", help="allow a verdict after so many draws, at half the risk each")
    ] = None,
    active: Annotated[int, typer.Option("--active", min=0, help="informative documents beside them, at most")] = 100,
    gold: Annotated[
        str | None, typer.Option("--gold", help="items of known origin (text, label) to measure reviewers by")
    ] = None,
    gold_share: Annotated[float, typer.Option("--gold-share", min=0.15, max=0.9, help="of all items")] = 0.15,
    salt: Annotated[str | None, typer.Option("--salt", help="of the draw; default: the manifest's hash")] = None,
    force: Force = False,
) -> None:
    """Draw documents of a release for people to label.

    Example: lowbackground audit sample releases/v1 -o sample.parquet
    """
    from pipeline.commands.audit import sample_release
    from transforms.audit.draw import Design

    if by not in ("documents", "tokens"):
        raise typer.BadParameter(f"{by!r} is neither documents nor tokens", param_hint="--by")
    population = "all" if everything else "undeclared"
    design = Design(n, by, population, first_look, active, gold_share, salt, source, by_score)
    out.print(sample_release(release, output, design, gold, force), markup=False)


SampleFile = Annotated[str, typer.Argument(help="what `audit sample` wrote", metavar="SAMPLE")]
LabelFiles = Annotated[list[str], typer.Argument(help="what `review serve` wrote", metavar="LABELS...")]


@audit_app.command("certify")
def audit_certify(
    sample: SampleFile,
    labels: LabelFiles,
    output: Annotated[str, typer.Option("--output", "-o", help="the certificate to write")] = "certificate.json",
    limit: Annotated[float, typer.Option("--limit", min=0, max=1, help="synthetic share to certify")] = 0.05,
    alpha: Annotated[float, typer.Option("--alpha", min=1e-6, max=0.5, help="chance that the bound is wrong")] = 0.05,
    look: Annotated[int | None, typer.Option("--look", min=1, max=2, help="of a sample with --first-look")] = None,
    votes: Annotated[int, typer.Option("--votes", min=1, help="reviewers that each document needs")] = 1,
    force: Force = False,
) -> None:
    """Bound a release's synthetic share by labels; exit code 1 if the limit is not certified.

    Example: lowbackground audit certify sample.parquet labels.jsonl --limit 0.05
    """
    from pipeline.commands.audit import certify_sample
    from transforms.audit.certificate import Terms

    said, certified = certify_sample(sample, labels, output, Terms(limit, alpha, look, votes), force)
    out.print(said, markup=False)
    raise typer.Exit(0 if certified else 1)


@audit_app.command("export")
def audit_export(
    sample: SampleFile,
    labels: LabelFiles,
    output: ParquetFile,
    active: Annotated[bool, typer.Option("--active", help="also documents that were chosen, not drawn")] = False,
    force: Force = False,
) -> None:
    """Write labelled documents as `detector` commands read them.

    Example: lowbackground audit export sample.parquet labels.jsonl -o labelled.parquet
    """
    from pipeline.commands.audit import export_labels

    out.print(export_labels(sample, labels, output, active, force), markup=False)


@review_app.command("serve")
def review_serve(
    sample: SampleFile,
    labels: Annotated[str, typer.Option("--labels", help="file that answers are added to")] = "labels.jsonl",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free")] = 0,
) -> None:
    """Show a sample on a page of this machine, and write down what people say of it.

    Example: lowbackground review serve sample.parquet --labels labels.jsonl
    """
    from pipeline.commands.review import serve_sample

    serve_sample(sample, labels, port, lambda line: out.print(line, markup=False))


@app.command()
def serve(
    releases: Annotated[list[str], typer.Argument(help="folders of releases or rejections", metavar="RELEASE...")],
    sample: Annotated[
        str | None, typer.Option("--sample", help="what `audit sample` wrote, to label beside them", metavar="SAMPLE")
    ] = None,
    labels: Annotated[str, typer.Option("--labels", help="file that answers are added to")] = "labels.jsonl",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free")] = 0,
) -> None:
    """Show releases on pages of this machine: every document, what became of it and why, and what moved between releases.

    Example: lowbackground serve releases/v1 releases/v2
    """
    from pipeline.commands.serve import serve_releases

    serve_releases(releases, sample, labels, port, lambda line: out.print(line, markup=False))


def main() -> None:
    """Run a command; say what is wrong in one line, never in a trace. What is not a verdict never ends in its exit codes."""
    heap.keep_one()
    # A command begins by importing a million objects that stay, and a fifth of that time went into looking for garbage
    # among them. A run sets it back (`execution.execute`).
    gc.set_threshold(1_000_000, 50, 100)
    lean()
    code = BROKE
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows less than UTF-8 sees escapes, and not a trace
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _code_of_command()
        log.SAID.info("exit code %d", code)
        gx_process.stop()  # nobody asked it if the command went wrong
        if "transforms.engine.cache_folder" in sys.modules and (
            said := sys.modules["transforms.engine.cache_folder"].note
        ):
            complain(f"note: {said}")
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # the reader of a pipe may be gone, and has read what it wanted
        pass
    except OSError as error:  # what was said is lost, on a full disk perhaps: nobody may take it for a pass
        code = BROKE
        with contextlib.suppress(OSError):
            os.write(2, f"error: the output cannot be written: {error.strerror}\n".encode())
    except BaseException:  # noqa: S110 (a second Ctrl-C; the code is what it is)
        pass
    # Not sys.exit: threads that Beam leaves behind may be inside C++ while the interpreter shuts down, and then the process
    # aborts (seen once in some hundred runs) after all its work is done and published.
    os._exit(code)


def _code_of_command() -> int:
    """Run the command. An exit code is its own only if it says so; whatever else ends it is a run that broke."""
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        complain("Stopped.")
        return BROKE
    except BrokenPipeError:
        return BROKE
    except (KeyboardInterrupt, SystemExit, GeneratorExit) as error:
        if isinstance(error, SystemExit) and _completes():
            return error.code if isinstance(error.code, int) else 0
        what = "Stopped." if isinstance(error, KeyboardInterrupt) else f"error: a library ended the command ({error!r})"
        complain(what)
        return BROKE
    except Exception as error:
        if os.environ.get("LOWBACKGROUND_TRACE"):
            traceback.print_exc()
            return BROKE
        if hasattr(error, "show") and hasattr(
            error, "exit_code"
        ):  # the command line library's: the command line is wrong
            error.show()
            return int(error.exit_code)
        code = _explained(error)
        if code == BROKE:
            log.SAID.error("where it broke", exc_info=error)
        return code
    if code == INTERRUPTED:
        complain("Stopped.")
        return BROKE
    return code if isinstance(code, int) else 0


def _completes() -> bool:
    """Whether all that is asked for is completion in a shell, which the command line library does and ends with an exit."""
    asked = any(word in ("--install-completion", "--show-completion") for word in sys.argv[1:2])
    return asked or any(name.endswith("_COMPLETE") and name.startswith("_") for name in os.environ)


def _explained(error: Exception) -> int:
    code = _exit_code_of(error)
    said = str(error).replace("\n", "\\n")  # names from elsewhere may hold line breaks; a message is one line
    if code is not None:
        err.print(f"error: {said}", markup=False, style="red")
        return code
    if isinstance(error, OSError) and error.strerror:  # of the machine: a full disk, a right that is missing
        complain(f"error: {error.strerror}" + (f": {error.filename}" if error.filename else ""))
        return BROKE
    if isinstance(error, MemoryError):
        complain("error: there is not enough memory; fewer `runner.workers` need less")
        return BROKE
    err.print(f"error: {type(error).__name__}: {said}", markup=False, style="red")
    err.print("This is a bug. Please report it with the output of the same command after LOWBACKGROUND_TRACE=1.")
    return BROKE


def complain(line: str) -> None:
    """Say something beside the command's answer."""
    err.print(line, markup=False)


def _exit_code_of(error: Exception) -> int | None:
    """The exit code of an error that a user can mend; None: it is ours."""
    if isinstance(error, UserError):
        return WRONG
    return BROKE if isinstance(error, BrokenError) else None


if __name__ == "__main__":
    main()
