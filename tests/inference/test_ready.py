"""A page is not ready where the weights that its run reads are gone."""

import shutil
from dataclasses import replace

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.artifacts.finished.steps import weight_files
from paw_stack.inference.app import health


def test_weights_of_a_fold_that_are_gone_are_missed(run, tmp_path):
    served = open_finished(shutil.copytree(run, tmp_path / "copy"))
    files = weight_files(served.folder, served.config.backbones, served.n_folds)
    assert len(files) == served.n_folds and health(served)["ready"]
    files[-1].unlink()
    assert not health(served)["ready"]


def test_local_weights_of_a_frozen_backbone_are_missed(run, tmp_path):
    served = open_finished(run)
    weights = tmp_path / "swin.safetensors"
    weights.write_bytes(b"any")
    frozen = [
        b.model_copy(update={"frozen": True, "weights": weights}) for b in served.config.backbones
    ]
    served = replace(served, config=served.config.model_copy(update={"backbones": frozen}))
    assert health(served)["ready"]
    weights.unlink()
    assert not health(served)["ready"]
