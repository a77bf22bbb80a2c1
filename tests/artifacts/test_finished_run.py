"""A finished run is one thing to all who read it: what it was blended from, or nothing."""

import json

import pandas as pd
import pytest
import yaml
from helpers.pages import Page
from helpers.runs import replaced, rewritten

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.artifacts.finished.runs import listed_runs
from paw_stack.commands.results.compare import compare
from paw_stack.commands.results.report import make_report
from paw_stack.errors import ArtifactError
from paw_stack.inference.predict import predict

READERS = (make_report, lambda run: compare(run, run), lambda run: predict(run, []))
OTHER = {
    "changed since its blend": ("predictions/swin.svr.done.json", {"fingerprint": "other"}),
    "made by paw-stack 0.0.9": ("blend/blend.json", {"versions": {"paw-stack": "0.0.9"}}),
}


@pytest.mark.parametrize("said", OTHER)
def test_who_reads_a_run_reads_what_was_blended(said, copy):
    """A list alone shows the scores that its blend had."""
    place, change = OTHER[said]
    rewritten(copy / place, lambda facts: facts.update(change))
    for read in READERS:
        with pytest.raises(ArtifactError, match=said):
            read(copy)
    (listed,) = listed_runs(copy.parent)
    assert listed.finished.blend["scores"]


def test_a_report_tells_of_the_blends_config(copy):
    """A later command writes the run's own config anew."""
    before = make_report(copy).read_bytes()
    (copy / "report.html").unlink()
    rewritten(copy / "config.yaml", lambda config: config["loss"].update(kind="bins"))
    assert make_report(copy).read_bytes() == before
    assert "kind: bins" not in Page(before.decode()).text


def test_files_are_read_when_they_are_asked_for(copy):
    opened = open_finished(copy)
    assert opened.n_folds == 2
    assert opened.level == 0.9
    table = pd.read_csv(copy / "labelled.csv", dtype={"Id": str})
    other = table.assign(target=table["target"] + 1).to_csv(index=False)
    replaced(copy / "labelled.csv", lambda path: path.write_text(other))
    assert opened.labelled["target"].tolist() == (table["target"] + 1).tolist()
    (copy / "labelled.csv").unlink()
    assert len(opened.labelled) == len(table)  # once
    with pytest.raises(ArtifactError, match=r"labelled\.csv: cannot be read"):
        assert open_finished(copy).labelled


def test_rows_of_a_run_are_those_of_its_tables(run):
    opened = open_finished(run)
    folds = pd.read_csv(run / "folds.csv", dtype={"Id": str}).set_index("Id")
    facts = json.loads((run / "blend" / "blend.json").read_text())
    assert opened.folds.fold_of.tolist() == folds["fold"][opened.labelled["Id"]].tolist()
    assert opened.folds.group_of.tolist() == folds["group"][opened.labelled["Id"]].tolist()
    assert opened.oof.columns.tolist() == [*facts["weights"], "blend"]
    own = yaml.safe_load((run / "blend" / "config.yaml").read_text())
    assert opened.config.model_dump(mode="json") == own
