"""Frozen first stages: what they make of photos stands for them, and no result tells which."""

import copy

import numpy as np
import pytest
import torch
from helpers.training import CPU, NO_METADATA, recipe, same_weights, taught, with_changes

from paw_stack.config import BackboneSection, LossSection, RegressorSection, TtaSection
from paw_stack.config.training import AuxiliarySection
from paw_stack.data.images.augment import AugmentedPhotos, make_augment
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device
from paw_stack.network.frozen.activations import Source, keep_activations
from paw_stack.network.frozen.split import lower_pass, split, upper_backbone
from paw_stack.network.optim import freeze, frozen_parts, train_mode
from paw_stack.network.predict import predict
from paw_stack.network.train_loop import finetune_fold
from paw_stack.network.trainer import Training

KEPT = {"freeze": 1, "views": 2, "epochs": 3}
RESNET = BackboneSection(name="r", model="resnet10t", pretrained=False, image_size=32)
EVERYTHING = {
    **{**KEPT, "ema": 0.9, "layer_decay": 0.5, "keep": "best_held_out", "accumulate": 2},
    "tta": TtaSection(flip=True, crops=2),
    "regressor": RegressorSection(head="mlp", dropout=0.3, metadata="late"),
    "loss": LossSection(auxiliary=AuxiliarySection(column="breed")),
}


def fold(striped, rows, made, kept, **more):
    return finetune_fold(striped[0], rows, made, "test fold", kept=kept, **more)


def rich(rows):
    """With metadata, classes, weights and five extra rows."""
    known = {"metadata": np.arange(40.0)[:, None] % 7, "label": np.arange(40) % 3, "n_classes": 3}
    weight = np.linspace(0.5, 2, 40, dtype=np.float32)
    return with_changes(taught(rows, weight=weight), **{**known, "sample_weight": weight * 1.0})


@pytest.fixture(scope="module")
def frozen_swin():
    """A backbone with drop-path everywhere, whose first of two stages is frozen."""
    section = BackboneSection(
        name="s",
        model="swin_tiny_patch4_window7_224",
        model_args={"window_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [1, 2]},
        pretrained=False,
        image_size=32,
        drop_path_rate=0.9,
    )
    backbone = build_backbone(section, 0)
    freeze(backbone, 1)
    return backbone


@pytest.mark.parametrize("case", ["swin", "resnet", "everything"])
def test_predictions_are_the_same_with_and_without(case, striped, rows, tiny_swin, tmp_path):
    """Everything: metadata, classes, weights, extra rows, mean weights, best epoch, other views."""
    section, how = (RESNET, KEPT | {"freeze": 2}) if case == "resnet" else (tiny_swin, KEPT)
    if case == "everything":
        rows, how = rich(rows), EVERYTHING
    made = recipe(section, **how)
    one, other = (fold(striped, rows, made, kept) for kept in (tmp_path, None))
    assert list(tmp_path.glob("*.npy"))
    np.testing.assert_allclose(one.held_out, other.held_out, rtol=1e-5)
    np.testing.assert_allclose(one.test, other.test, rtol=1e-5)
    lines = zip(one.history, other.history, strict=True)
    for line, expected in lines:
        for name in ("loss_main", "fit_rmse", "held_out_rmse", "learning_rate"):
            assert line[name] == pytest.approx(expected[name], rel=1e-5)
    assert one.weights.keys() == other.weights.keys()


def test_bfloat16_is_kept_as_it_was_computed(striped, rows, tiny_swin, tmp_path):
    made = recipe(RESNET, **KEPT)
    made = type(made)(**{**vars(made), "device": Device("cpu", "bf16")})
    one, other = (fold(striped, rows, made, kept) for kept in (tmp_path, None))
    np.testing.assert_allclose(one.test, other.test, rtol=1e-3)
    assert {np.load(path, mmap_mode="r").dtype for path in tmp_path.glob("*.npy")} == {
        np.dtype(np.int16)
    }


def test_training_that_was_interrupted_goes_on_with_the_same_bytes(
    striped, rows, tiny_swin, tmp_path
):
    made, states = recipe(tiny_swin, **KEPT, ema=0.9), []
    whole = fold(striped, rows, made, tmp_path / "a", after_epoch=states.append)
    for kept in (tmp_path / "a", tmp_path / "b"):  # as it lies there, and computed again
        state = copy.deepcopy(states[0])  # training goes on in its tensors
        resumed = fold(striped, rows, made, kept, resumed=state)
        assert same_weights(whole, resumed)
        assert whole.test.tolist() == resumed.test.tolist()


def test_a_resumed_fold_reads_what_its_own_weights_make(striped, rows, tiny_swin, tmp_path):
    """What a fold starts from is not at hand when it goes on, and may be other weights."""
    other = Training(recipe(tiny_swin, seed=7), rows, striped[0], None).model.state_dict()
    made, states = recipe(tiny_swin, **KEPT), []
    whole = fold(striped, rows, made, tmp_path, start=other, after_epoch=states.append)
    assert same_weights(whole, fold(striped, rows, made, tmp_path, resumed=states[0]))


def test_folds_of_the_same_weights_share_the_files(striped, rows, tiny_swin, tmp_path):
    start = Training(recipe(tiny_swin), rows, striped[0], None).model.state_dict()
    other = with_changes(rows, fit=np.arange(8, 35), held_out=np.arange(8))
    fold(striped, rows, recipe(tiny_swin, seed=1, **KEPT), tmp_path, start=start)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*")}
    assert len([path for path in files if path.suffix == ".npy"]) == 1 + KEPT["views"]
    fold(striped, other, recipe(tiny_swin, seed=2, **KEPT), tmp_path, start=start)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*")} == files


def test_other_weights_views_and_seeds_share_nothing(striped, rows, tiny_swin, tmp_path):
    """But one more view of the same draws is one more file."""

    def files(seed=0, views_seed=0, **changes):
        made = recipe(tiny_swin, seed, **KEPT | changes)
        training = Training(
            type(made)(**{**vars(made), "views_seed": views_seed}), rows, striped[0], None, tmp_path
        )
        training.open_activations()
        return {training.source.plain, *training.source.views}

    first = files()
    assert len(first) == 3
    assert not first & files(seed=1)  # random weights
    assert len(first & files(views_seed=1)) == len(first & files(augment="flips")) == 1  # the plain
    assert len(files(views=3) - first) == 1
    assert len(files(augment="none", views=1)) == 1
    assert len(files(views=9)) == 1 + KEPT["epochs"]  # no more than epochs will see


def test_what_is_kept_is_what_the_stages_make_of_each_view(striped, rows, frozen_swin, tmp_path):
    section = recipe(None, **KEPT).finetune
    source = Source(tmp_path, striped[0], CPU, 0, seed=5)
    place = split(frozen_swin)
    kept = keep_activations(frozen_swin, place, section, rows, source)
    augmented = AugmentedPhotos(striped[0], make_augment(section, 32), 5)
    for view, row in ((0, 0), (1, 0), (0, 34), (1, 17)):
        photo = torch.from_numpy(augmented[view, row])[None]
        torch.testing.assert_close(
            kept[view, row], lower_pass(frozen_swin.eval(), place.first, photo)[0]
        )
    plain = torch.from_numpy(np.load(striped[0])[37:39])
    torch.testing.assert_close(
        torch.from_numpy(np.load(kept.plain)[37:39]), lower_pass(frozen_swin, place.first, plain)
    )
    whole = kept.plain.read_bytes()
    np.save(kept.views[0], np.load(kept.views[0])[1:])
    kept.plain.write_bytes(whole[:-1])
    keep_activations(frozen_swin, place, section, rows, source)
    assert kept.plain.read_bytes() == whole  # what was cut short is computed again
    assert len(np.load(kept.views[0])) == len(kept.rows)


def test_held_out_photos_change_no_weight(striped, rows, tiny_swin, tmp_path):
    """Nor do test photos, though what frozen stages make of all photos lies in the same files."""
    pixels = np.load(striped[0])
    pixels[27:] = 255 - pixels[27:]
    np.save(tmp_path / "other.npy", pixels)
    made = recipe(tiny_swin, **KEPT)
    one = fold(striped, rows, made, tmp_path / "a")
    other = fold((tmp_path / "other.npy",), rows, made, tmp_path / "b")
    assert same_weights(one, other)
    assert (one.test != other.test).all()


def test_epochs_take_turns_with_the_views(striped, rows, tiny_swin):
    """Without files, too: the fit of an epoch is of the views that it says."""
    still = {"freeze": 1, "learning_rate": 1e-12, "optimizer": "sgd", "epochs": 4, "views": 2}
    section = tiny_swin.model_copy(update={"drop_path_rate": 0.0})
    lines = fold(striped, rows, recipe(section, **still), None).history
    scores = [line["fit_rmse"] for line in lines]
    assert scores[:2] == pytest.approx(scores[2:], abs=1e-5)
    assert abs(scores[0] - scores[1]) > 1e-3


def test_frozen_stages_compute_as_they_predict_and_have_no_gradient(frozen_swin):
    photos = torch.randint(0, 256, (6, 32, 32, 3), dtype=torch.uint8)
    train_mode(frozen_swin, False, frozen_parts(frozen_swin))
    entered = []
    hook = frozen_swin.model.layers[1].register_forward_pre_hook(
        lambda _, given: entered.extend(given)
    )
    frozen_swin(photos), frozen_swin(photos)
    hook.remove()
    assert torch.equal(*entered)
    assert not any(one.requires_grad for one in entered)
    assert frozen_swin.model.layers[1].blocks[1].drop_path1.training


def test_batchnorm_of_frozen_stages_learns_nothing(striped, rows, tmp_path):
    made = recipe(RESNET, freeze=2, epochs=1)
    start = Training(made, rows, striped[0], None).model.state_dict()
    after = fold(striped, rows, made, None).weights
    moved = {n for n in start if "running" in n and not torch.equal(start[n], after[n])}
    assert not any(
        name.startswith(("backbone.model.bn1", "backbone.model.layer1")) for name in moved
    )
    assert {name.split(".")[2] for name in moved} == {"layer3", "layer4"}


@pytest.mark.parametrize(
    ("name", "stages", "first"),
    [
        ("convnext_atto", 2, "stages.2"),
        ("mobilenetv3_small_050", 3, "blocks.3"),
        ("vit_tiny_patch16_224", 6, "blocks.6"),
        ("nfnet_l0", 1, "stages.1"),
    ],
)
def test_families_are_split_where_learning_begins(name, stages, first):
    """A transformer adds positions between its modules; a block of nfnet begins by pooling."""
    backbone = build_backbone(
        BackboneSection(name="b", model=name, pretrained=False, image_size=64), 0
    )
    freeze(backbone, stages)
    place = split(backbone)
    photos = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    upper = upper_backbone(backbone, place)
    with torch.no_grad():
        torch.testing.assert_close(
            upper(lower_pass(backbone, place.first, photos)), backbone(photos)
        )
    assert place.first == first
    learning = {p for p in backbone.parameters() if p.requires_grad}
    assert learning <= set(upper.parameters())


def test_predictions_of_new_photos_run_the_whole_network(striped, rows, tiny_swin, tmp_path):
    training = Training(recipe(tiny_swin, **KEPT), rows, striped[0], None, tmp_path)
    training.open_activations()
    alone = predict(training.model, striped[0], rows.test, NO_METADATA, CPU)
    np.testing.assert_allclose(training.predict(rows.test), alone, rtol=1e-6)
