"""A small run, copies of it that are spoilt, and the commands that such a copy is given to."""

import contextlib
import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import yaml
from helpers.commands import FROZEN, SWIN, write_config

from paw_stack.commands import run as pipeline
from paw_stack.config import load_config
from paw_stack.data.synthetic.competition import write_sample
from paw_stack.errors import PawStackError


@dataclass(frozen=True)
class Stage:
    """What all cases start from: a run, its data, a photo and a table of its metadata."""

    run: Path
    photo: Path
    table: Path
    secret: Path


def make_stage(folder: Path) -> Stage:
    """A run with a fine-tuned and a frozen backbone, metadata, three heads, pictures, a blend."""
    write_sample(folder / "sample", 24, 6, seed=3)
    heads = {"svr": {}, "gbm": {"trees": 5, "min_rows": 5}, "ridge": {"metadata": True}}
    backbones = [SWIN, {**FROZEN, "name": "still"}]
    data = {"metadata": ["Eyes"]}
    config = write_config(folder, folder / "sample", data, heads=heads, backbones=backbones)
    with contextlib.redirect_stdout(io.StringIO()):
        pipeline.run(load_config(config))
    return stage_of(folder / "runs" / "tiny", folder / "sample", folder)


def stage_of(run: Path, data: Path, folder: Path) -> Stage:
    """The same of a run that is there; `folder` takes two small files."""
    photo = next((data / "test").iterdir())
    (folder / "table.csv").write_text(f"Id,Eyes\n{photo.stem},1\n")
    (folder / "secret").write_text("of somebody else")
    return Stage(run, photo, folder / "table.csv", folder / "secret")


@dataclass(frozen=True)
class Case:
    """A folder with a changed copy of the run, and what a user would give with it."""

    home: Path
    photo: Path
    table: Path
    config: Path  # the user's own
    whole: Path  # the run as it was
    data: Path  # that it was made of, the user's own

    @property
    def run(self) -> Path:
        return self.home / "runs" / "tiny"


def lay_out(stage: Stage, home: Path) -> Case:
    """A copy of the run by hard links, and what a user would give with it."""
    shutil.copytree(stage.run, home / "runs" / "tiny", copy_function=os.link)
    shutil.copytree(stage.run.parent / "cache", home / "runs" / "cache", copy_function=os.link)
    (home / "temporary").mkdir()
    settings = yaml.safe_load((stage.run.parents[1] / "config.yaml").read_text())
    settings["run"]["root"] = str(home / "runs")
    (home / "config.yaml").write_text(yaml.safe_dump(settings))
    photo, table = (Path(shutil.copy(path, home)) for path in (stage.photo, stage.table))
    data = Path(settings["data"]["root"])
    return Case(home, photo, table, home / "config.yaml", stage.run, data)


def predict(case: Case) -> None:
    from paw_stack.inference.predict import predict as score

    score(case.run, [case.photo], case.home / "scores.csv", case.table, batch_size=2)
    score(case.run, [case.photo], None, case.table, batch_size=2)


def report(case: Case) -> None:
    from paw_stack.commands.results.report import make_report

    make_report(case.run)


def runs(case: Case) -> None:
    from paw_stack.commands.results.runs import note_leaderboard, show_runs

    show_runs(case.home / "runs")
    show_runs(case.home / "runs", "-blend", csv=case.home / "runs.csv")
    note_leaderboard(case.run, ["public=18.5"])


def compare(case: Case) -> None:
    from paw_stack.commands.results.compare import compare as compare_runs

    compare_runs(case.whole, case.run)


def status(case: Case) -> None:
    from paw_stack.commands.status import show_status

    show_status(load_config(case.config))


def check(case: Case) -> None:
    pipeline.check(load_config(case.config))


def candidates(case: Case) -> None:
    from paw_stack.commands.blend_files import FilesToBlend, blend_files

    labelled, own = case.whole / "labelled.csv", [str(case.run)]
    blend_files(FilesToBlend(labelled, "target", own, case.home / "blended"))


def page(case: Case) -> None:
    import gradio

    from paw_stack.artifacts.finished.model import open_finished
    from paw_stack.inference import app_page, app_tabs

    opened, user = open_finished(case.run), SimpleNamespace(session_hash="A")
    (case.home / "page").mkdir()
    desk = app_page.open_desk(opened, case.home / "page")
    app_tabs.make_page(desk)
    values = [1.0] * len(opened.config.data.metadata)
    photos = [shutil.copy(case.photo, case.home / f"{n}{case.photo.suffix}") for n in "ab"]
    table = shutil.copy(case.table, case.home / "again.csv")
    problems = []
    for work in (
        lambda: app_page.scorer(gradio, desk)(user, photos[0], *values),
        lambda: app_page.batch_scorer(gradio, desk)(user, [str(case.photo)], table),
    ):
        try:
            work()
        except gradio.Error as error:
            problems.append(str(error.message))
    if problems:
        raise PawStackError(problems)


COMMANDS = {
    "runs": runs,
    "report": report,
    "predict": predict,
    "page": page,
    "compare": compare,
    "status": status,
    "check": check,
    "blend": candidates,
}
