"""What sections ask of each other, how files, overrides, studies and targets are put together."""

import pytest

from paw_stack.config import digest, make_config
from paw_stack.config.loading import read_sections
from paw_stack.config.study import load_study
from paw_stack.config.targets import make_targets, run_name
from paw_stack.errors import ConfigError

SWIN = "swin_tiny_patch4_window7_224"
TUNED, FROZEN = {"name": "a", "model": SWIN}, {"name": "f", "model": SWIN, "frozen": True}
EXTRA = {"images": "extra", "table": "extra.csv", "column": "breed"}


def made(backbones=(TUNED, FROZEN), bounds=(1, 9), data=None, **sections):
    known = {"root": "d", "target": "score", "bounds": bounds and list(bounds), **(data or {})}
    return make_config(
        {"run": {"name": "x"}, "data": known, "backbones": list(backbones), **sections}
    )


def refusal(**sections) -> str:
    with pytest.raises(ConfigError) as caught:
        made(**sections)
    return " ".join(caught.value.problems)


@pytest.mark.parametrize("bounds", [None, (1, None), (None, 9), (1, float("inf"))])
def test_a_loss_of_a_range_needs_both_of_its_bounds(bounds):
    needs = {"loss": {"kind": "bce"}, "bounds": bounds}
    assert "loss.kind: bce predicts a share" in refusal(**needs)
    made(backbones=[FROZEN], **needs)
    made(loss={"kind": "mse"}, bounds=bounds)


def test_one_bound_alone_is_kept_and_infinity_is_none():
    inf = float("inf")
    mse = {"loss": {"kind": "mse"}}
    for given, known in (((1, None), (1, inf)), ((None, 9), (-inf, 9)), ((1, inf), (1, inf))):
        assert made(bounds=given, **mse).data.limits == known
    assert made(bounds=(-inf, inf), **mse).data.bounds is None
    for wrong in ((9, 9), (9, 1), (inf, None), (None, -inf)):
        assert "the first must be below the second" in refusal(bounds=wrong, **mse)


def test_labels_for_extra_rows_need_rows_or_photos_that_are_drawn():
    assert "extra.pseudo: there are no rows" in refusal(extra={"pseudo": {}})
    made(extra={"pseudo": {}}, data={"extra": EXTRA})
    made(extra={"pseudo": {}, "gan": {}})
    assert "gan: its photos have no labels" in refusal(extra={"gan": {}})
    assert "gan: its photos have no labels" in refusal(
        extra={"gan": {}, "pretrain": {}}, data={"extra": EXTRA}
    )


def test_pretraining_learns_a_class_and_is_the_one_start_of_a_fold():
    bare = {"extra": {"images": "extra"}}
    made(extra={"pretrain": {}}, data={"extra": EXTRA})
    for data in ({}, bare):
        assert "extra.pretrain: learns a class" in refusal(extra={"pretrain": {}}, data=data)
    assert "finetune.warm_start is the start" in refusal(
        extra={"pretrain": {}}, data={"extra": EXTRA}, finetune={"warm_start": "runs/other"}
    )


def test_drawn_photos_and_the_loss_have_one_auxiliary_output():
    other = {"loss": {"auxiliary": {"column": "breed", "weight": 0.1}}}
    said = refusal(extra={"pseudo": {}, "gan": {}}, **other)
    assert "extra.gan.auxiliary: loss.auxiliary has that output" in said
    made(extra={"pseudo": {}, "gan": {"auxiliary": 0}}, **other)


def test_an_autoencoder_has_a_frozen_encoder_of_one_layer_and_feeds_networks_that_learn():
    def asked(backbones=(TUNED, FROZEN), extra=None, **keys):
        section = {"backbone": "f", **keys}
        return {"backbones": backbones, "extra": {"autoencoder": section, **(extra or {})}}

    made(**asked(feed=["a"]))
    for wrong in ("a", "nobody"):
        assert "is no frozen backbone with the layer" in refusal(**asked(backbone=wrong))
    layers = {**FROZEN, "layers": ["embedding", "logits"]}
    assert "is no frozen backbone with the layer" in refusal(**asked([TUNED, layers]))
    assert "['f'] are not fine-tuned here; ['a'] are" in refusal(**asked(feed=["f"]))
    drawn = {"pseudo": {}, "gan": {}}
    assert "drawn photos have no reconstruction" in refusal(**asked(extra=drawn, feed=["a"]))
    made(**asked(extra=drawn))


def test_logits_are_of_pretrained_classifiers_that_stay():
    logits = {**FROZEN, "layers": ["logits"]}
    made(backbones=[logits])
    made(backbones=[{**logits, "pretrained": False, "weights": "w.pth"}])
    for wrong in ({"frozen": False}, {"pretrained": False}):
        assert "set frozen: true" in refusal(backbones=[{**logits, **wrong}])


@pytest.mark.parametrize("engine", ["cuml", "onedal", "sklearn"])
def test_grids_are_tried_on_one_matrix(engine):
    assert f"engine: {engine} has no grid" in refusal(heads={"svr": {"engine": engine, "grid": {}}})
    for able in ("auto", "triton", "gram"):
        made(heads={"svr": {"engine": able, "grid": {}}})


def test_crops_are_up_to_five_of_more_than_half_a_side():
    made(embed={"crops": 5, "crop_share": 0.51})
    assert "embed.crops" in refusal(embed={"crops": 6})
    assert "embed.crop_share" in refusal(embed={"crop_share": 0.5})


def test_a_tilde_is_home_within_a_list_too(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = made(blend={"extra": ["~/v1.csv", "v2.csv"]}).blend.extra
    assert [str(path) for path in found] == [f"{tmp_path}/v1.csv", "v2.csv"]


def test_overrides_replace_add_and_append_in_their_order(tmp_path):
    (tmp_path / "base.yaml").write_text("a: {b: 1, c: {d: 2, e: 3}}\nf: [1, 2]\n")
    (tmp_path / "top.yaml").write_text("extends: base.yaml\na: {c: {d: 9}}\nf: [7]\n")
    path = tmp_path / "top.yaml"
    merged = {"a": {"b": 1, "c": {"d": 9, "e": 3}}, "f": [7]}
    assert read_sections(path) == merged
    changes = ["f.1=8", "a.c.e=x=y", "a.new.key=[1, 2]", "f.0=6", "f.0=5"]
    assert read_sections(path, changes) == {
        "a": {"b": 1, "c": {"d": 9, "e": "x=y"}, "new": {"key": [1, 2]}},
        "f": [5, 8],
    }
    with pytest.raises(ConfigError, match=r"no place f\.3"):
        read_sections(path, ["f.3=8"])
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})


def test_a_variant_goes_before_its_study_and_an_override_before_both(tmp_path):
    (tmp_path / "configs").mkdir()
    for name, seed in (("mine", 1), ("other", 2)):
        (tmp_path / "configs" / f"{name}.yaml").write_text(
            f"run: {{name: x, seed: {seed}}}\ndata: {{root: d, target: s, bounds: [1, 9]}}\n"
            "backbones: [{name: a, model: swin}]\nfolds: {n: 9, bins: 9}\n"
        )
    study = tmp_path / "study.yaml"
    study.write_text(
        "root: out\nconfig: configs/mine.yaml\nset: [folds.n=3, folds.bins=3]\nvariants:\n"
        "  - {name: base}\n  - {name: own, config: configs/other.yaml, set: [folds.n=4]}\n"
    )
    root, configs = load_study(study, ["folds.bins=5", "run.workers=1"])
    base, own = configs["base"], configs["own"]
    assert str(root) == str(base.run.root) == str(own.run.reuse) == "out"
    assert (base.run.name, base.run.seed, base.folds.n, base.folds.bins) == ("base", 1, 3, 5)
    assert (own.run.name, own.run.seed, own.folds.n, own.folds.bins) == ("own", 2, 4, 5)
    assert base.run.workers == own.run.workers == 1


def test_each_target_has_what_is_its_own_and_folds_of_the_first():
    data = {"root": "d", "target": ["nice-1", "sharp"], "bounds": {"nice-1": [1, 5], "sharp": None}}
    data |= {"weight": {"nice-1": "n1", "sharp": "n2"}, "score_sd": "sd", "score_n": "n"}
    sections = {"run": {"name": "r"}, "data": data, "backbones": [FROZEN]}
    targets = make_targets(sections, "t")
    first, second = targets.configs.values()
    assert [c.data.target for c in (first, second)] == ["nice-1", "sharp"]
    assert [c.data.bounds for c in (first, second)] == [(1, 5), None]
    assert [c.data.weight for c in (first, second)] == ["n1", "n2"]
    assert first.data.score_sd == second.data.score_sd == "sd"
    assert [c.folds.by for c in (first, second)] == ["nice-1", "nice-1"]
    assert [c.run.name for c in (first, second)] == ["r-nice-1", "r-sharp"]
    assert targets.folder.name == "r"
    given = make_targets({**sections, "folds": {"by": "age", "n": 3}}, "t").configs["sharp"]
    assert (given.folds.by, given.folds.n) == ("age", 3)
    assert run_name("r", "so-nice now") == "r-so-nice_now"
    for alike in (["nice one", "nice_one"], ["Nice", "nice"], ["a", "a"], ["a"], ["a", 3]):
        with pytest.raises(ConfigError, match="two columns or more whose letters"):
            make_targets({**sections, "data": {**data, "target": alike, "bounds": None}}, "t")
