"""Extra photos that repeat a labelled one go; those that repeat a test photo stay."""

import shutil

import pandas as pd
from helpers.commands import FROZEN, write_config

from paw_stack.config import load_config
from paw_stack.pipeline.experiment import open_job


def test_only_twins_of_labelled_photos_are_left_out(own_sample, tmp_path):
    labelled, test = (sorted((own_sample / name).glob("*.jpg"))[4] for name in ("train", "test"))
    shutil.rmtree(own_sample / "extra")
    (own_sample / "extra").mkdir()
    for name, photo in (("twin", labelled), ("seen", test)):
        shutil.copy(photo, own_sample / "extra" / f"{name}.jpg")
    (own_sample / "extra" / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    data = {"extra": {"images": "extra"}}
    config = load_config(write_config(tmp_path, own_sample, data, backbones=[FROZEN]))
    extra = open_job(config).extra
    assert extra.ids.tolist() == ["seen.jpg"]
    assert [path.name for path in extra.paths] == ["seen.jpg"]
    assert "1 of 3 are used; 1 nearly repeat a labelled photo, 1 cannot be read" in extra.remark
    assert len(pd.unique(extra.ids)) == 1
