"""Commands that make a release."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from expectations.judge import gx_process
from pipeline.console.application import (
    AT_WORK,
    Force,
    Json,
    Overrides,
    RecipePath,
    TextOrJson,
    Today,
    app,
    chosen_form,
    err,
    out,
    progress,
    recipe_at,
)

if TYPE_CHECKING:
    from pipeline.recipe import Recipe
    from pipeline.runner import Result
    from transforms.ingest.sources import Split


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
    _run(recipe_at(os.path.join(folder, "recipe.yaml"), []), os.path.join(folder, "recipe.yaml"), replace=True)


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
    out.print(said)


@app.command()
def check(recipe: RecipePath, overrides: Overrides = None, as_json: Json = False) -> None:
    """Check a recipe and its input without running it; print every setting.

    Example: lowbackground check recipe.yaml --set ratio.max_synthetic_share=0.1
    """
    from pipeline.reading.answer import deliver
    from pipeline.reading.summary import checked, checked_json
    from pipeline.runner import prepare

    loaded = recipe_at(recipe, overrides or [])
    job = prepare(loaded, os.path.dirname(recipe) or ".")
    deliver(checked_json(loaded, job) if as_json else checked(loaded, job))


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
    _run(recipe_at(recipe, changes), recipe, replace, today, as_json, not no_wait)


def _run(
    recipe: "Recipe", path: str, replace: bool, today: str | None = None, as_json: bool = False, wait: bool = True
) -> None:
    from pipeline.jobs import JobLeftError
    from pipeline.progress import compiling
    from pipeline.runner import prepare
    from pipeline.runner import run as run_job

    try:
        with compiling(err):
            job = prepare(recipe, os.path.dirname(path) or ".", today)
            result = run_job(recipe, job, progress, replace, wait)
        _write_papers(recipe, result, today)
    except JobLeftError as left:
        out.print(str(left))
        raise typer.Exit(AT_WORK if wait else 0) from None
    except KeyboardInterrupt:  # the command line library would call it a failed gate: exit code 1
        err.print("Stopped. Nothing was released; `lowbackground clean` removes what is left.")
        raise typer.Exit(4) from None
    _answer(recipe, result, path, as_json, job.splits)


def _write_papers(recipe: "Recipe", result: "Result", today: str | None) -> None:
    if recipe.papers:
        from pipeline.commands.papers import write_asked

        write_asked(recipe, result, today)


def _answer(recipe: "Recipe", result: "Result", path: str, as_json: bool, splits: Sequence["Split"] = ()) -> NoReturn:
    """Say what came of a run, and end as it did."""
    from pipeline.reading.answer import deliver
    from pipeline.reading.summary import ran, ran_json

    deliver(ran_json(result, recipe) if as_json else ran(result, recipe, splits, path))
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
    from pipeline.recipe import load_recipe

    result = status_of(job, progress, wait, cancel)
    if isinstance(result, str):
        out.print(result)
        raise typer.Exit(0 if cancel else AT_WORK)
    path = os.path.join(result.folder, "recipe.yaml")
    recipe = load_recipe(path)
    _write_papers(recipe, result, None)
    _answer(recipe, result, path, as_json)


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
    form: TextOrJson = "text",
    as_json: Json = False,
) -> None:
    """Say what mixture a recipe gives, without writing a release: what is taken, what binds, what is lost.

    Example: lowbackground plan recipe.yaml --by language
    """
    from pipeline.commands.plan import plan_mixture
    from pipeline.reading.answer import deliver
    from pipeline.runner import prepare

    loaded = recipe_at(recipe, overrides or [])
    job = prepare(loaded, os.path.dirname(recipe) or ".")
    found = plan_mixture(loaded, job, progress, by or ["source"], chosen_form(form, as_json))
    deliver(found.text)
    raise typer.Exit(1 if found.refused else 0)


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
    deliver(receipt_json(receipt) if as_json else receipt_text(receipt, release))
    raise typer.Exit(0 if receipt.passed else 1)
