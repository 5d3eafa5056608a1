"""Commands of detectors."""

from typing import Annotated

import typer

from pipeline.console.application import DetectorFolder, Force, Model, detector_app, out, progress

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
    from pipeline.commands.detector import train_detector

    out.print(train_detector(data, output, evaluate or [], exclude or [], progress, force, expert or []))


@detector_app.command("evaluate")
def detector_evaluate(data: Labelled, model: Model = None) -> None:
    """Say how well a detector tells labelled text apart, in all and by source, language, generator and length.

    Example: lowbackground detector evaluate other.parquet --model my-detector
    """
    from pipeline.commands.detector import evaluate_detector

    out.print(evaluate_detector(data, model))


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
    from pipeline.commands.detector import count_detector

    out.print(count_detector(data, output, evaluate or [], exclude or [], progress, force))


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
    from pipeline.commands.detector import calibrate_detector

    out.print(
        calibrate_detector(model, data, output, evaluate or [], exclude or [], min_tokens, target_fpr, force),
    )


@detector_app.command("card")
def detector_card(model: Model = None) -> None:
    """Print the model card of a detector.

    Example: lowbackground detector card --model my-detector
    """
    from pipeline.commands.detector import card_of

    out.print(card_of(model))


@detector_app.command("selftest")
def detector_selftest(data: Labelled, model: Model = None) -> None:
    """Plant known shares of machine text in labelled text, and say how well they are estimated and bounded.

    Example: lowbackground detector selftest labelled.parquet
    """
    from pipeline.commands.detector import selftest_detector

    out.print(selftest_detector(data, model))
