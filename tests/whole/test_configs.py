"""Every shipped config, the diary's too, runs from photos to submission on a tiny competition."""

import re
from pathlib import Path

import pandas as pd
import pytest
import timm
from helpers.commands import N_TEST, TINY_SWIN
from helpers.places import ROOT
from safetensors.torch import save_file
from tools.efficientnet_lite import convert

from paw_stack.commands import run as pipeline
from paw_stack.config import Config, load_config
from paw_stack.network.backbone import check_backbone
from paw_stack.pipeline.candidates import candidates

CONFIGS = sorted(p for p in (ROOT / "configs").rglob("*.yaml") if p.parent.name != "studies")


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> dict[str, tuple[str, Path]]:
    """Family -> a small model of it and local weights: a tiny Swin's, EfficientNet-lite0's own."""
    folder = tmp_path_factory.mktemp("weights")
    model = timm.create_model("swin_tiny_patch4_window7_224", **TINY_SWIN, img_size=32)
    save_file(model.state_dict(), folder / "swin.safetensors")
    convert(folder / "lite0.safetensors")
    return {
        "swin": ("swin_tiny_patch4_window7_224", folder / "swin.safetensors"),
        "efficientnet": ("tf_efficientnet_lite0", folder / "lite0.safetensors"),
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Where all of them run: the photos are decoded once, a warm start's source may be there."""
    return tmp_path_factory.mktemp("configs")


def tiny(config: Config, weights: dict[str, tuple[str, Path]]) -> list[str]:
    """Overrides that keep what a config says but make models, photos and work small."""
    overrides = ["finetune.epochs=1", "finetune.batch_size=8", "run.workers=0"]
    searches = config.heads.svr and config.heads.svr.grid
    overrides.append(f"folds.n={3 if searches else 2}")
    if config.heads.gbm:
        overrides.append("heads.gbm={trees: 3, min_rows: 5}")
    if config.loss.auxiliary:
        overrides.append("loss.auxiliary.column=Human")
    if config.extra.gan:
        overrides.append("extra.gan={images: 10, size: 32, width: 4, epochs: 1}")
    if config.extra.autoencoder:
        overrides += ["extra.autoencoder.epochs=1", "extra.autoencoder.width=4"]
    if config.extra.pretrain:
        overrides.append("extra.pretrain.epochs=1")
    for number, backbone in enumerate(config.backbones):
        place = f"backbones.{number}"
        overrides.append(f"{place}.image_size=32")
        for family, (model, file) in weights.items():
            if family in backbone.model:
                overrides.append(f"{place}.model={model}")
                overrides.append(f"{place}.model_args={TINY_SWIN if family == 'swin' else {}}")
                overrides += [f"{place}.weights={file}"] if backbone.pretrained else []
    return overrides


def run_tiny(path: Path, sample: Path, weights: dict[str, tuple[str, Path]], root: Path):
    """Run a config on the sample; what it warm-starts from is run before."""
    as_shipped = load_config(path)
    overrides = [
        f"run.root={root}",
        f"data.root={sample}",
        "data.target=Pawpularity",
        "data.bounds=[1, 100]",
        "data.extension=.jpg",
        "data.score_sd=null",
        "data.score_n=null",
        f"data.metadata={['Eyes', 'Blur'] if as_shipped.data.metadata else []}",
    ]
    if source := as_shipped.finetune.warm_start:
        (first,) = [p for p in CONFIGS if load_config(p).run.name == source.name]
        run_tiny(first, sample, weights, root)
        overrides.append(f"finetune.warm_start={root / source.name}")
    config = load_config(path, [*overrides, *tiny(as_shipped, weights)])
    return config, pipeline.run(config)


# Three networks; and rows of the diary that differ from another one in what tests of its own try.
SLOW = {"ratings_stack", "d19_matched", "d19_random", "d19_warm", "d22_autoencoder_fed", "extra"}
# Of the files of a row of the diary, which differ in one key's value, the first is fast.
FIRST = {p.stem[:3]: p.stem for p in reversed(CONFIGS) if p.stem not in SLOW}


def quick(path: Path) -> bool:
    is_row = re.match(r"d\d\d_", path.stem) is not None
    return path.stem not in SLOW and (not is_row or FIRST[path.stem[:3]] == path.stem)


RUN = [p if quick(p) else pytest.param(p, marks=pytest.mark.slow) for p in CONFIGS]


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_a_shipped_config_runs(path, sample_folder, weights, root):
    config, result = run_tiny(path, sample_folder, weights, root)
    assert result is not None
    written = pd.read_csv(root / config.run.name / "submission.csv")
    assert len(written) == N_TEST
    n_networks = sum(not b.frozen for b in config.backbones)
    everything = len(candidates(config)) + n_networks
    assert len(result.weights) == len(config.blend.candidates or range(everything))
    assert result.predictions.optimistic == (config.finetune.keep == "best_held_out")


def test_shipped_configs_name_models_that_timm_has():
    for path in CONFIGS:
        for backbone in load_config(path).backbones:
            check_backbone(backbone.model_copy(update={"weights": None}))


def test_every_diary_config_is_in_its_table_and_every_row_is_there():
    table = (ROOT / "configs" / "diary" / "README.md").read_text()
    names = [path.name for path in CONFIGS if path.parent.name == "diary"]
    assert [name for name in names if f"`{name}`" not in table] == []
    rows = {int(name[1:3]) for name in names if name[1:3].isdigit()}
    assert {*range(1, 14), *range(16, 26)} <= rows


def test_runs_have_names_of_their_own():
    names = [load_config(path).run.name for path in CONFIGS]
    assert len(set(names)) == len(names)
