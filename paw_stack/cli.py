"""The commands. Each calls one function of `pipeline`, imported only then: `--help` is instant."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from paw_stack.errors import ConfigError, PawStackError, full_disk_sentence, is_full_disk
from paw_stack.interrupt import ending_soon

app = typer.Typer(
    help="Photos with a score in, a calibrated score for new photos out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file of the run.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a key, such as finetune.epochs=3."),
]
Force = Annotated[
    str | None,
    typer.Option(
        "--force",
        metavar="STAGE",
        help="Do finetune, embed or fit-heads again, and what is built on it, done or not.",
    ),
]
FinishedRun = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run's folder, artifacts/NAME, or its config.")
]
FoldNumbers = Annotated[
    list[int] | None, typer.Option("--fold", help="Only this fold; repeat it for several.")
]

On = Annotated[
    Literal["here", "ray"],
    typer.Option("--on", help="here: one unit after the other; ray: on a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="A running Ray cluster; else one is started here."),
]


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write.")],
    labelled: Annotated[int, typer.Option(min=10, help="Photos with a score.")] = 1000,
    test: Annotated[int, typer.Option(min=0, help="Photos without one.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds draw other photos.")] = 0,
    extra: Annotated[int, typer.Option(min=0, help="Photos with a breed and no score.")] = 0,
) -> None:
    """Draw a sample competition of pet portraits: nothing to download.

    Example: paw-stack sample pets --labelled 500
    """
    from paw_stack import pipeline

    pipeline.sample(folder, labelled, test, seed, extra)


@app.command()
def check(config: ConfigFile, set_: Overrides = None) -> None:
    """Read tables and photos; report sizes, scores, near-duplicates, label noise and folds.

    Example: paw-stack check configs/demo.yaml
    """
    from paw_stack import pipeline
    from paw_stack.config import load_config

    pipeline.check(load_config(config, set_))


@app.command("show-augment")
def show_augment(config: ConfigFile, set_: Overrides = None) -> None:
    """Write a contact sheet of augmented photos.

    Example: paw-stack show-augment mine.yaml --set finetune.augment=all
    """
    from paw_stack import pipeline
    from paw_stack.config import load_config

    pipeline.show_augment(load_config(config, set_))


@app.command()
def status(config: ConfigFile, set_: Overrides = None) -> None:
    """Show which units of a run are done, stale (and what has changed) or missing.

    Example: paw-stack status mine.yaml --set finetune.epochs=6
    """
    from paw_stack import pipeline
    from paw_stack.config import load_config

    pipeline.show_status(load_config(config, set_))


@app.command()
def finetune(
    config: ConfigFile, set_: Overrides = None, fold: FoldNumbers = None, force: Force = None
) -> None:
    """Train every backbone that is not frozen, once a fold.

    Example: paw-stack finetune mine.yaml --fold 0 --set finetune.epochs=2
    """
    from paw_stack import pipeline
    from paw_stack.config import load_config

    pipeline.finetune(load_config(config, set_), fold, force)


@app.command("pseudo-label")
def pseudo_label(config: ConfigFile, set_: Overrides = None, fold: FoldNumbers = None) -> None:
    """Label extra photos by each fold's own network: paw-stack pseudo-label configs/my.yaml"""
    from paw_stack import pipeline
    from paw_stack.config import load_config

    pipeline.pseudo_label(load_config(config, set_), fold)


@app.command()
def embed(
    config: ConfigFile,
    set_: Overrides = None,
    fold: FoldNumbers = None,
    source: Annotated[
        Path | None,
        typer.Option(help="A collection without scores: a folder, tar shards or Parquet files."),
    ] = None,
    force: Force = None,
    on: On = "here",
    address: Address = None,
) -> None:
    """Write the embeddings of all photos to disk.

    With a collection it is by frozen backbones and shard by shard into artifacts/RUN/collection;
    unreadable photos are listed and left out. --on ray embeds as many shards at once as the cluster
    has room for.

    Examples: paw-stack embed mine.yaml

    paw-stack embed mine.yaml --source photos/
    """
    from paw_stack import pipeline
    from paw_stack.config import load_config
    from paw_stack.pipeline.embed_source import embed_source

    if source:
        embed_source(load_config(config, set_), source, on, address)
    elif on == "here":
        pipeline.embed(load_config(config, set_), fold, force)
    else:
        raise ConfigError("embed --on ray: takes --source; run --on ray embeds a run's own photos")


@app.command("fit-heads")
def fit_heads(
    config: ConfigFile,
    head: Annotated[
        list[str] | None,
        typer.Option(help="One of the config's heads, or all; repeat it for several."),
    ] = None,
    set_: Overrides = None,
    fold: FoldNumbers = None,
    force: Force = None,
) -> None:
    """Fit the config's heads on the embeddings, cross-fitted.

    Example: paw-stack fit-heads mine.yaml --head svr --set heads.svr.C=8
    """
    from paw_stack import pipeline
    from paw_stack.config import load_config

    pipeline.fit_heads(load_config(config, set_), head or ["all"], fold, force)


@app.command()
def blend(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="YAML file of the run; or --labelled.")
    ] = None,
    set_: Overrides = None,
    labelled: Annotated[
        Path | None, typer.Option(help="CSV of Id, the target and, on request, fold.")
    ] = None,
    target: Annotated[str, typer.Option(help="The target's column, with --labelled.")] = "",
    candidates: Annotated[
        list[str] | None,
        typer.Option(help="Quoted pattern of CSVs (Id, fold, prediction), or a run's folder."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write, with --labelled.")] = None,
    bounds: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Lowest and highest score; else the target's."),
    ] = None,
    method: Annotated[str, typer.Option(help="As blend.method of a config.")] = "auto",
    calibration: Annotated[str, typer.Option(help="As blend.calibration of a config.")] = "auto",
) -> None:
    """Blend all candidates, score the blend honestly, write submission.csv.

    Without a config, from files alone:

    paw-stack blend --labelled labelled.csv --target Pawpularity --candidates 'v*.csv' --out DIR
    """
    if config and not labelled:
        from paw_stack import pipeline
        from paw_stack.config import load_config

        pipeline.blend(load_config(config, set_))
    elif not config and labelled and target and candidates and out:
        from paw_stack.pipeline.blend_files import FilesToBlend, blend_files

        files = FilesToBlend(labelled, target, candidates, out, bounds)
        blend_files(files, method, calibration)
    else:
        raise ConfigError("blend: give a CONFIG, or --labelled, --target, --candidates and --out")


@app.command()
def run(
    config: ConfigFile,
    set_: Overrides = None,
    fold: FoldNumbers = None,
    force: Force = None,
    on: On = "here",
    address: Address = None,
) -> None:
    """All stages in order: finetune, embed, fit-heads, blend.

    Examples: paw-stack run mine.yaml --set run.name=second

    paw-stack run mine.yaml --on ray --address head:6379
    """
    from paw_stack import pipeline
    from paw_stack.config import load_config

    pipeline.run(load_config(config, set_), fold, force, on, address)


@app.command()
def study(
    file: Annotated[Path, typer.Argument(metavar="STUDY", help="YAML file of the study.")],
    set_: Overrides = None,
    only: Annotated[list[str] | None, typer.Option(help="This variant; repeat it.")] = None,
) -> None:
    """Compare variants of a config with the first: paw-stack study configs/studies/extra.yaml"""
    from paw_stack.pipeline.study import run_study

    run_study(file, set_, only)


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
) -> None:
    """Score photos with a finished run: intervals, and every candidate's own score.

    Examples: paw-stack predict artifacts/demo my_photos/ --out scores.csv

    paw-stack predict artifacts/demo --explain cat.jpg
    """
    from paw_stack.pipeline.predict import predict as score

    score(run, paths or [], out, metadata, batch_size, explain)


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
    from paw_stack.pipeline.runs import note_leaderboard, show_runs

    if set_lb:
        note_leaderboard(set_lb, scores or [])
    else:
        show_runs(root, sort, only, csv)


@app.command()
def compare(first: FinishedRun, second: FinishedRun) -> None:
    """Two runs: which keys differ, and whether their scores differ by more than noise.

    Example: paw-stack compare artifacts/base artifacts/v5
    """
    from paw_stack.pipeline.compare import compare as compare_runs

    compare_runs(first, second)


@app.command()
def doctor(
    root: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("artifacts"),
    speed: Annotated[bool, typer.Option(help="Measure for ten seconds.")] = True,
) -> None:
    """What this machine has, which engines will be used, what to install for more.

    Example: paw-stack doctor --no-speed
    """
    from paw_stack.pipeline.doctor import doctor as examine

    examine(root, speed)


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="File to write, in place of printing.")] = None,
) -> None:
    """The JSON schema of the config, with which an editor completes and checks it.

    Example: paw-stack schema --out configs/schema.json
    """
    from paw_stack.pipeline.schema import schema as show_schema

    show_schema(out)


@app.command("app")
def serve(
    run: FinishedRun,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860,
) -> None:
    """A page on this machine: drop a photo, see its score and why. Needs paw-stack[app].

    Example: paw-stack app artifacts/demo
    """
    from paw_stack.pipeline.app import app as serve_page

    serve_page(run, host, port)


@app.command()
def report(
    source: Annotated[
        Path, typer.Argument(metavar="CONFIG|RUN", help="YAML file of the run, or its folder.")
    ],
    set_: Overrides = None,
) -> None:
    """Write report.html of a finished run again: paw-stack report artifacts/demo."""
    from paw_stack.pipeline.report import make_report

    make_report(source, set_)


@app.command()
def demo(set_: Overrides = None) -> None:
    """Draw the sample competition and run every stage on it, in artifacts/demo.

    Example: paw-stack demo --set finetune.epochs=2
    """
    from paw_stack import pipeline

    pipeline.demo(set_)


def main() -> None:
    """Entry point: what a user can mend is one message and exit 2; a bug keeps its traceback."""
    with ending_soon():
        try:
            app()
        except PawStackError as error:
            for problem in error.problems:
                print(f"paw-stack: {problem}", file=sys.stderr)
            sys.exit(2)
        except OSError as error:
            if not is_full_disk(error):
                raise
            print(f"paw-stack: {full_disk_sentence(error.filename or 'writing')}", file=sys.stderr)
            sys.exit(2)
