"""Extra rows: which photos they are, how batches hold them, what their labels may know."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.commands import N_EXTRA
from helpers.training import drawn, recipe, taught, with_changes
from PIL import Image

from paw_stack.config import (
    DataSection,
    ExtraRowsSection,
    ExtraSection,
    LossSection,
    PseudoSection,
)
from paw_stack.data.competition import load_competition
from paw_stack.data.unlabelled import admit_extra, load_extra
from paw_stack.errors import ArtifactError, DataError
from paw_stack.network.dataloader import extra_per_epoch
from paw_stack.network.losses import main_loss
from paw_stack.network.train_loop import finetune_fold
from paw_stack.semi_supervised.pseudo_labels import confidence, make_labels, matched


def with_table(sample_folder, **changes) -> DataSection:
    section = ExtraRowsSection(table="extra.csv", column="Breed").model_copy(update=changes)
    return DataSection(root=sample_folder, target="Pawpularity", bounds=(1, 100), extra=section)


def test_a_copy_of_a_labelled_photo_is_no_extra_row(sample_folder, tmp_path):
    data = with_table(sample_folder)
    extra = load_extra(data)
    assert len(extra.ids) == N_EXTRA
    labelled = load_competition(data).labelled.paths
    kept = admit_extra(extra, labelled, data, tmp_path)
    assert set(extra.ids) - set(kept.ids) == {extra.ids[29]}  # the sample's one copy
    assert "31 of 32 are used; 1 nearly repeat a labelled photo" in kept.remark
    assert len(kept.paths) == len(kept.classes) == len(kept.ids)


def test_without_a_table_every_photo_of_the_folder_counts(pictures, tmp_path):
    folder = pictures.root / "more"
    folder.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (20, 16, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"n{number}.png")
    (folder / "broken.png").write_bytes(b"no photo")
    (folder / "notes.txt").write_text("no photo either")
    data = pictures.model_copy(update={"extra": ExtraRowsSection(images="more")})
    extra = load_extra(data)
    assert extra.ids.tolist() == ["broken.png", "n0.png", "n1.png", "n2.png"]
    kept = admit_extra(extra, load_competition(data).labelled.paths, data, tmp_path / "cache")
    assert kept.ids.tolist() == ["n0.png", "n1.png", "n2.png"]
    assert "1 cannot be read" in kept.remark


def test_all_problems_of_the_table_are_told_at_once(pictures):
    (pictures.root / "extra").mkdir()
    pd.DataFrame({"Id": ["a", "a", "../b"]}).to_csv(pictures.root / "extra.csv", index=False)
    data = pictures.model_copy(update={"extra": ExtraRowsSection(table="extra.csv")})
    with pytest.raises(DataError) as caught:
        load_extra(data)
    assert [p.split(": ")[1] for p in caught.value.problems] == [
        "ids that cannot be file names",
        "ids that occur more than once",
        "photos that do not exist",
    ]
    with pytest.raises(DataError, match="no column 'kind'"):
        load_extra(
            pictures.model_copy(
                update={"extra": ExtraRowsSection(table="extra.csv", column="kind")}
            )
        )
    with pytest.raises(DataError, match="nowhere"):
        load_extra(pictures.model_copy(update={"extra": ExtraRowsSection(images="nowhere")}))


def test_extra_rows_stand_behind_the_fit_rows_of_every_batch(striped, rows):
    found = drawn(striped[0], taught(rows))
    for batch in found:
        assert set(batch.rows[: batch.n_fit]) <= set(rows.fit)
        assert set(batch.rows[batch.n_fit :]) <= set(range(35, 40))
        assert len(batch.rows) <= 8
    for epoch in np.array_split(np.arange(len(found)), 4):
        fit = np.concatenate([found[i].rows[: found[i].n_fit] for i in epoch])
        assert sorted(fit) == rows.fit.tolist()


def test_few_extra_rows_come_once_an_epoch_and_many_no_more_than_their_share(striped, rows):
    for batch_of_epoch in np.array_split(np.arange(16), 4):
        found = drawn(striped[0], taught(rows))
        extra = np.concatenate([found[i].rows[found[i].n_fit :] for i in batch_of_epoch])
        assert sorted(extra) == list(range(35, 40))
    capped = drawn(striped[0], taught(rows, share=0.1))
    counts = [len(batch.rows) - batch.n_fit for batch in capped]
    assert sum(counts) == 4 * 3  # a tenth of 30 rows an epoch
    line = np.concatenate([batch.rows[batch.n_fit :] for batch in capped])
    assert set(np.bincount(line)[35:]) == {2, 3}  # all of them, all again, two once more


def test_extra_rows_are_their_share_of_all_rows_of_an_epoch(rows):
    """Of four training rows and one extra row, a fifth is extra; there are no more than five."""
    few = with_changes(taught(rows), fit=rows.fit[:4])
    shares = [0.2, 0.5, 0.9]
    assert [extra_per_epoch(with_changes(few, extra_share=s)) for s in shares] == [1, 4, 5]


def test_extra_rows_do_not_depend_on_where_training_went_on(striped, rows):
    whole = drawn(striped[0], taught(rows, share=0.1))
    rest = drawn(striped[0], taught(rows, share=0.1), first_epoch=2)
    assert [b.rows.tolist() for b in whole[-len(rest) :]] == [b.rows.tolist() for b in rest]


@pytest.mark.parametrize("kind", ["mse", "rmse", "bce", "smooth_l1", "bins", "ordinal"])
def test_a_weighted_loss_is_the_plain_one_and_weight_zero_is_absence(kind):
    section = LossSection(kind=kind)
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(6, 20 if kind in ("bins", "ordinal") else 1, generator=generator)
    share = torch.rand(6, generator=generator)
    plain = main_loss(output, share, section)
    torch.testing.assert_close(main_loss(output, share, section, torch.ones(6)), plain)
    weight = torch.tensor([2.0, 2, 2, 0, 0, 0])  # mean 1, like three rows alone
    alone = main_loss(output[:3], share[:3], section)
    torch.testing.assert_close(main_loss(output, share, section, weight), alone)


def test_labels_of_weight_zero_are_never_learned(striped, rows, tiny_swin):
    """That is what pretraining rests on: rows without a score have a target all the same."""
    weight = np.where(np.arange(40) < 35, 1, 0).astype(np.float32)
    first = taught(rows, weight=weight)
    second = with_changes(first, target=np.where(np.arange(40) < 35, rows.target, 99.0))
    one, other = (
        finetune_fold(striped[0], chosen, recipe(tiny_swin), "test fold")
        for chosen in (first, second)
    )
    assert one.held_out.tolist() == other.held_out.tolist()


def test_extra_labels_are_learned(striped, rows, tiny_swin):
    few = with_changes(rows, fit=rows.fit[:2])
    many = with_changes(taught(rows, share=0.9), fit=rows.fit[:2])
    without, told = (
        finetune_fold(striped[0], chosen, recipe(tiny_swin, epochs=30), "test fold").test
        for chosen in (few, many)
    )
    assert np.abs(told - 50).max() < 0.8 * np.abs(without - 50).min()


def test_a_backbone_alone_can_be_the_start(striped, rows, tiny_swin):
    done = finetune_fold(striped[0], rows, recipe(tiny_swin), "test fold")
    backbone = {k: v for k, v in done.weights.items() if k.startswith("backbone.")}
    slow = recipe(tiny_swin, epochs=1, learning_rate=1e-9)
    again = finetune_fold(striped[0], rows, slow, "test fold", start=backbone)
    key = "backbone.model.patch_embed.proj.weight"
    torch.testing.assert_close(again.weights[key], done.weights[key], atol=1e-6, rtol=0)
    assert not torch.equal(again.weights["head.0.weight"], done.weights["head.0.weight"])
    with pytest.raises(ArtifactError, match="another model's"):
        finetune_fold(striped[0], rows, slow, "test fold", start={"backbone.other": torch.ones(1)})


def test_matched_labels_have_the_targets_distribution_and_the_predictions_order():
    rng = np.random.default_rng(0)
    target, prediction = rng.integers(1, 101, 500).astype(float), rng.normal(38, 5, 2000)
    label = matched(prediction, target)
    assert (np.diff(label[np.argsort(prediction)]) >= 0).all()
    for share in (0.1, 0.5, 0.9):
        assert np.quantile(label, share) == pytest.approx(np.quantile(target, share), abs=1)
    assert matched(prediction[:1], target) == pytest.approx([np.median(target)])


def test_policies():
    prediction, target = np.array([30.0, 40, 50]), np.array([1.0, 99])
    predicted = make_labels(prediction, target, PseudoSection(policy="predicted"), 0)
    assert predicted.tolist() == prediction.tolist()
    random = make_labels(prediction, target, PseudoSection(policy="random"), 0)
    assert set(random) <= {1.0, 99.0}
    hard, soft, softest = (
        make_labels(prediction, target, PseudoSection(soft=soft), 0) for soft in (0, 0.5, 1)
    )
    np.testing.assert_allclose(soft, (hard + softest) / 2)
    assert softest.tolist() == prediction.tolist()


def test_confident_rows_weigh_more():
    weight = confidence(np.array([10.0, 20, 30]), np.array([10.0, 25, 60]))
    assert weight[0] > weight[1] > weight[2] > 0
    assert weight.mean() == pytest.approx(1)
    assert confidence(np.ones(3), np.ones(3)).tolist() == [1, 1, 1]


def test_drawn_photos_need_labels():
    with pytest.raises(ValueError, match="add pseudo"):
        ExtraSection(gan={})
