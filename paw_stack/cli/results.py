"""Commands that use finished runs, or tell of the machine and the config."""

from pathlib import Path
from typing import Annotated

import typer

from paw_stack.cli.options import FinishedRun, Overrides, app


@app.command()
def predict(
    run: FinishedRun,
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH...", help="Photos and folders.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV to write, in place of a table.")] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="CSV of ids and metadata columns, where the run uses them.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Photos a forward pass; the run's own gives the same digits."),
    ] = None,
    explain: Annotated[
        Path | None, typer.Option(metavar="PHOTO", help="Say why this photo gets its score.")
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="A contest's: write its submission of a folder."),
    ] = None,
) -> None:
    """Score photos with a finished run: intervals, and every candidate's own score.

    Examples: paw-stack predict artifacts/demo my_photos/ --out scores.csv

    paw-stack predict artifacts/demo --explain cat.jpg

    paw-stack predict artifacts/demo test/ --sample sample_submission.csv
    """
    if sample and explain:
        raise typer.BadParameter("--sample and --explain: give one of them")
    if sample:
        from paw_stack.inference.submission import predict_submission

        predict_submission(run, paths or [], sample, out, metadata, batch_size)
        return
    from paw_stack.inference.predict import predict as score

    score(run, paths or [], out, metadata, batch_size, explain)


@app.command()
def bundle(
    run: FinishedRun,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    base: Annotated[
        str, typer.Option(help="What is installed there: kaggle, colab, none, or your own list.")
    ] = "kaggle",
    half: Annotated[bool, typer.Option("--half", help="Weights in float16.")] = False,
    python: Annotated[
        str | None, typer.Option(metavar="X.Y", help="Python there; else the list's, or this one.")
    ] = None,
    platform: Annotated[
        str | None, typer.Option(metavar="TAG", help="Such as manylinux_2_28_x86_64.")
    ] = None,
) -> None:
    """All that predicts with a finished run elsewhere, without a network: a contest's notebook.

    Example: paw-stack bundle artifacts/demo demo-bundle --base kaggle
    """
    from paw_stack.commands.bundle import bundle as make_bundle

    make_bundle(run, folder, base, half, python, platform)


@app.command()
def runs(
    scores: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=SCORE]...", help="For --set-lb.")
    ] = None,
    root: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("artifacts"),
    sort: Annotated[str, typer.Option(help="Column to sort by; -blend: highest first.")] = "when",
    only: Annotated[
        str | None, typer.Option("--filter", help="Text in a run's name, backbones or loss.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="CSV to write, in place of a table.")] = None,
    set_lb: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Keep a leaderboard's scores with a run.")
    ] = None,
) -> None:
    """A table of all runs: what was tried, how it scored, how long it took.

    Examples: paw-stack runs --sort blend --filter swin

    paw-stack runs --set-lb artifacts/v5 public=18.04 private=17.24
    """
    from paw_stack.commands.results.runs import note_leaderboard, show_runs

    if set_lb:
        note_leaderboard(set_lb, scores or [])
    else:
        show_runs(root, sort, only, csv)


@app.command()
def compare(first: FinishedRun, second: FinishedRun) -> None:
    """Two runs: which keys differ, and whether their scores differ by more than noise.

    Example: paw-stack compare artifacts/base artifacts/v5
    """
    from paw_stack.commands.results.compare import compare as compare_runs

    compare_runs(first, second)


@app.command()
def report(
    source: Annotated[
        Path, typer.Argument(metavar="CONFIG|RUN", help="YAML file of the run, or its folder.")
    ],
    set_: Overrides = None,
) -> None:
    """Write report.html of a finished run again: paw-stack report artifacts/demo."""
    from paw_stack.commands.results.report import make_report

    make_report(source, set_)


@app.command("app")
def serve(
    run: FinishedRun,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860,
) -> None:
    """A page on this machine: drop a photo, see its score and why. Needs the extra `app`.

    Example: paw-stack app artifacts/demo
    """
    from paw_stack.inference.app import app as serve_page

    serve_page(run, host, port)


@app.command()
def doctor(
    root: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("artifacts"),
    speed: Annotated[bool, typer.Option(help="Measure for ten seconds.")] = True,
) -> None:
    """Show what this machine has, which engines will be used, and what to install for more.

    Example: paw-stack doctor --no-speed
    """
    from paw_stack.commands.doctor import doctor as examine

    examine(root, speed)


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="File to write, in place of printing.")] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="A config of every key and its default instead.")
    ] = False,
) -> None:
    """The JSON schema of the config, with which an editor completes and checks it.

    Example: paw-stack schema --out configs/schema.json
    """
    from paw_stack.config.schema import schema as show_schema

    show_schema(out, reference)
