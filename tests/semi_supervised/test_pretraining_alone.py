"""What pretraining takes from fine-tuning's section, and what it does not."""

from helpers.commands import extra_config

from paw_stack.config import load_config
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan

PLAIN = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3}
OF_SCORES = ("mixup=0.4", "keep=best_inner", "patience=1", "freeze=1")


def test_what_is_there_for_scores_changes_no_pretrained_weight(sample_folder, tmp_path):
    """Classes are not mixed, so photos must not be; there is no epoch to choose."""
    path = extra_config(tmp_path, sample_folder, {"pretrain": {"epochs": 1}}, finetune=PLAIN)
    weights = []
    for name, changes in (("plain", ()), ("changed", OF_SCORES)):
        overrides = [f"run.name={name}", *(f"finetune.{change}" for change in changes)]
        step = plan(open_job(load_config(path, overrides)), [0])["pretrain swin"]
        step.do()
        weights.append((step.folder / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1]
