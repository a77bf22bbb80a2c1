"""What a run keeps of its photos and pairs: a test photo has no score."""

import pandas as pd

from paw_stack.data.competition import load_competition
from paw_stack.data.screening import examine
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.steps.pictures import picture_inputs


def test_a_pair_holds_the_scores_that_there_are(empty_run, pictures, tmp_path):
    train, test = pictures.root / "train", pictures.root / "test"
    (train / "p4.png").write_bytes((train / "p1.png").read_bytes())
    (test / "t2.png").write_bytes((train / "p1.png").read_bytes())
    empty_run.save_findings(examine(load_competition(pictures), pictures, tmp_path / "cache", 0))
    names = ["set_a", "Id_a", "score_a", "set_b", "Id_b", "score_b"]
    found = pd.read_csv(empty_run.root / "check" / "duplicates.csv", keep_default_na=False)
    by_ids = {(row.Id_a, row.Id_b): row for row in found[names].itertuples()}
    pair = by_ids["p1", "p4"]
    assert (pair.set_a, pair.set_b) == ("labelled", "labelled")
    assert (float(pair.score_a), float(pair.score_b)) == (2, 8)
    for name, score in (("p1", 2), ("p4", 8)):
        crossing = by_ids[name, "t2"]
        assert (crossing.set_a, crossing.set_b) == ("labelled", "test")
        assert float(crossing.score_a) == score
        assert crossing.score_b == ""


def test_small_pictures_are_made_anew_where_photos_are_resized_otherwise(
    empty_run, pictures, tiny_swin
):
    from paw_stack.config import Config, RunSection

    def inputs(**keys) -> dict[str, object]:
        data = type(pictures)(**{**pictures.model_dump(), **keys})
        run = RunSection(name="r", root=empty_run.root.parent)
        made = open_job(Config(run=run, data=data, backbones=[tiny_swin], folds={"n": 2}))
        return picture_inputs(made)

    plain = inputs(resize="crop")
    assert inputs(resize="crop") == plain
    other = inputs(resize="squash")
    assert [key for key in plain if plain[key] != other[key]] == ["resize"]
