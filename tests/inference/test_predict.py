"""Scores of new photos: a test photo gets the submission's, in whatever company it comes."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.commands import FROZEN, SWIN, call, failure, write_config
from PIL import Image

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.config import EmbedSection, LossSection, RegressorSection
from paw_stack.embed import embed
from paw_stack.inference.explain import explain, occluded, overlay
from paw_stack.inference.predict import photos_of, predict, score_paths
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device
from paw_stack.network.predict import predict as network_predict
from paw_stack.network.regressor import Regressor


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sample_folder):
    """A run with every kind of candidate: views, metadata, layers together, chosen layers."""
    frozen = {**FROZEN, "name": "random", "image_size": 64}
    config = write_config(
        tmp_path_factory.mktemp("finished"),
        sample_folder,
        data={"metadata": ["Eyes", "Blur"]},
        backbones=[SWIN, frozen, {**frozen, "name": "other", "image_size": 32}],
        regressor={"metadata": "late"},
        finetune={"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "tta": {"flip": True}},
        embed={"dtype": "float16", "flip": True},
        blend={"method": "mean"},
        heads={
            "svr": {"metadata": True},
            "gbm": {"trees": 5, "min_rows": 5},
            "ridge": {},
            "together": [["swin", "random"]],
            "selection": {"starts": 1, "most": 2},
        },
    )
    call("run", config)
    return config, config.parent / "runs" / "tiny"


def submission(run):
    table = pd.read_csv(run / "submission.csv", dtype={"Id": str})
    return table.set_index("Id")["Pawpularity"]


def test_a_test_photo_gets_the_submissions_score_and_candidates(finished, sample_folder):
    _, run = finished
    table = predict(run, [sample_folder / "test"], metadata=sample_folder / "test.csv")
    ids = [path.rsplit("/", 1)[-1].removesuffix(".jpg") for path in table["photo"]]
    np.testing.assert_allclose(table["score"], submission(run)[ids], atol=1e-6, rtol=0)
    for name in open_finished(run).candidates:
        own = pd.read_csv(run / "predictions" / f"{name}.test.csv", dtype={"Id": str})
        expected = own.set_index("Id")["prediction"][ids]
        np.testing.assert_allclose(table[name], expected, atol=1e-6, rtol=0)


def test_a_photos_score_does_not_depend_on_its_company(finished, sample_folder):
    config, run = finished
    photos = sorted((sample_folder / "test").iterdir())
    alone = [
        predict(config, [photo], metadata=sample_folder / "test.csv")["score"][0]
        for photo in photos[:2]
    ]
    together = predict(run, [photos[4], photos[1], photos[0]], metadata=sample_folder / "test.csv")
    np.testing.assert_allclose(alone, together["score"][[2, 1]], atol=1e-6, rtol=0)


@pytest.fixture
def photos(sample_folder, tmp_path):
    """A folder with two good photos, a text that is named .jpg, and one cut short; its table."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    first, second, third = sorted((sample_folder / "test").iterdir())[:3]
    shutil.copy(first, folder / "a.jpg")
    shutil.copy(second, folder / "more" / "b.JPG")
    (folder / "text.jpg").write_text("not a photo")
    (folder / "cut.jpg").write_bytes(third.read_bytes()[:300])
    (folder / "notes.txt").write_text("not looked at")
    (folder / "a.explained.png").write_text("nor is the map of an earlier call")
    table = pd.DataFrame({"Id": ["a", "b"], "Eyes": 1, "Blur": 0})
    table.to_csv(tmp_path / "columns.csv", index=False)
    return folder, tmp_path / "columns.csv"


def test_unreadable_and_missing_photos_are_named_and_the_rest_go_on(
    finished, photos, tmp_path, capsys
):
    _, run = finished
    folder, columns = photos
    paths = [folder, folder / "gone.jpg", folder / "a.jpg"]
    call("predict", run, *paths, "--metadata", columns, "--out", tmp_path / "scores.csv")
    said = capsys.readouterr().out
    assert f"left out: photos that cannot be read: '{folder}/cut.jpg: damaged JPEG" in said
    assert f"{folder}/text.jpg: not an image" in said
    assert f"{folder}/gone.jpg: missing" in said
    assert "(3 in all)" in said
    table = pd.read_csv(tmp_path / "scores.csv").set_index("photo")
    assert len(table) == 5
    scored = table["score"].dropna()
    assert set(scored.index) == {f"{folder}/a.jpg", f"{folder}/more/b.JPG"}
    assert scored.between(1, 100).all()
    assert table.loc[f"{folder}/text.jpg", "reason"].startswith("not an image")


def test_a_table_is_printed_without_an_output_file(finished, photos, capsys, monkeypatch):
    _, run = finished
    folder, columns = photos
    shutil.copy(folder / "a.jpg", folder / "[red]a.jpg")
    columns.write_text(columns.read_text() + "[red]a,1,0\n")
    monkeypatch.setenv("COLUMNS", "400")
    call("predict", run, folder / "[red]a.jpg", "--metadata", columns)
    said = capsys.readouterr().out
    assert "scores, points" in said
    assert "[red]a.jpg" in said  # a name is no markup
    assert "swin+random.svr" in "".join(said.split())


REFUSED = {
    "no metadata": (["a.jpg"], "need the columns Eyes, Blur: give a CSV of Id"),
    "no row": (["cat.jpg", "--metadata", "columns.csv"], "no row, or no finite number in Eyes"),
    "no table": (["a.jpg", "--metadata", "gone.csv"], "gone.csv: cannot be read"),
    "no column": (["a.jpg", "--metadata", "other.csv"], "no column 'Eyes', 'Blur' (2 in all)"),
    "no photos": (["empty"], "empty: no photos in this folder"),
    "nothing": ([], "nothing to score: name photos"),
    "a text alone": (["text.jpg"], "nothing to score; photos that cannot be read: "),
    "an explained text": (["--explain", "text.jpg"], "text.jpg: not an image"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_scored_is_one_line(kind, finished, photos, capsys, monkeypatch):
    _, run = finished
    folder, columns = photos
    shutil.copy(columns, folder)
    shutil.copy(folder / "a.jpg", folder / "cat.jpg")
    (folder / "other.csv").write_text("Id,Face\na,1\n")
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder)
    words, message = REFUSED[kind]
    said = failure(capsys, monkeypatch, "predict", run.resolve(), *words)
    assert message in said
    assert len(said.splitlines()) == 1


def copied(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def changed(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


SPOILED = {
    "no blend": (lambda run: shutil.rmtree(run / "blend"), "not finished, there is no blend yet"),
    "another version": (
        lambda run: changed(run / "blend" / "blend.json", versions={"paw-stack": "0.0.9"}),
        "made by paw-stack 0.0.9, this is",
    ),
    "no version": (
        lambda run: changed(run / "blend" / "blend.json", versions={}),
        "made by paw-stack an earlier version, this is",
    ),
    "a fold begun again": (
        lambda run: (run / "finetune" / "swin" / "fold1" / "done.json").unlink(),
        "changed since its blend: 'finetune/swin/fold1/done.json' (1 in all)",
    ),
    "a head fitted again": (
        lambda run: changed(run / "predictions" / "swin.svr.done.json", fingerprint="other"),
        "changed since its blend: 'predictions/swin.svr.done.json'",
    ),
    "no weights": (
        lambda run: (run / "finetune" / "swin" / "fold0" / "weights.safetensors").unlink(),
        "weights.safetensors: cannot be read",
    ),
    "no heads": (lambda run: shutil.rmtree(run / "heads" / "swin.ridge"), "no fitted heads"),
    "blend.json cut short": (
        lambda run: (run / "blend" / "blend.json").write_text("{"),
        "blend.json: cannot be read",
    ),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_run_that_is_not_what_its_blend_was_made_of_is_refused(
    kind, finished, photos, tmp_path, capsys, monkeypatch
):
    run = copied(finished[1], tmp_path)
    spoil, message = SPOILED[kind]
    spoil(run)
    folder, columns = photos
    said = failure(capsys, monkeypatch, "predict", run, folder / "a.jpg", "--metadata", columns)
    assert message in said
    assert len(said.splitlines()) == 1


def test_a_run_needs_neither_its_data_nor_its_old_place(finished, photos, tmp_path):
    """Scores of a copied run whose config names a folder of data that is not there."""
    folder, columns = photos
    expected = predict(finished[1], [folder / "a.jpg"], metadata=columns)["score"]
    run = copied(finished[1], tmp_path)
    for name in ("config.yaml", "blend/config.yaml"):
        config = yaml.safe_load((run / name).read_text())
        config["data"]["root"] = "gone"
        config["run"]["root"] = "gone too"
        (run / name).write_text(yaml.safe_dump(config))
    found = predict(run, [folder / "a.jpg"], metadata=columns)["score"]
    np.testing.assert_array_equal(found, expected)


def test_no_run_there(capsys, monkeypatch, tmp_path):
    said = failure(capsys, monkeypatch, "predict", tmp_path, "x.jpg")
    assert f"{tmp_path}: no run; give a folder such as artifacts/demo" in said


def test_folders_are_searched_and_each_photo_comes_once(photos):
    folder, _ = photos
    found = photos_of([folder / "text.jpg", folder])
    assert [path.name for path in found] == ["text.jpg", "a.jpg", "cut.jpg", "b.JPG"]


def test_an_explanation_is_written_beside_the_photo(finished, photos, capsys):
    _, run = finished
    folder, columns = photos
    call("predict", run, "--explain", folder / "a.jpg", "--metadata", columns)
    said = capsys.readouterr().out
    assert "most similar labelled photos: " in said
    assert "the part that adds most" in said
    with Image.open(folder / "a.explained.png") as picture:
        assert picture.size == (448, 448)
        picture.verify()


def test_the_map_is_what_the_score_loses_and_a_labelled_photo_is_most_like_itself(
    finished, sample_folder
):
    opened = open_finished(finished[1])
    labelled = pd.read_csv(sample_folder / "train.csv", dtype={"Id": str}).iloc[3]
    photo = sample_folder / "train" / f"{labelled['Id']}.jpg"
    columns = labelled[["Eyes", "Blur"]].to_numpy(dtype=float)[None]
    found = explain(opened, photo, columns)
    assert found.row["score"] == pytest.approx(
        score_paths(opened, [photo], columns)["score"][0], abs=1e-6
    )
    assert found.similar["Id"][0] == labelled["Id"]
    assert found.similar["cosine"][0] == pytest.approx(1, abs=1e-3)
    assert found.similar["target"][0] == labelled["Pawpularity"]
    assert found.similar["cosine"].is_monotonic_decreasing
    assert 0 <= found.share_below <= 1


def test_each_variant_hides_one_square_of_its_own():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    variants = occluded(pixels)
    assert (variants[0] == pixels).all()
    hidden = (variants[1:] != pixels).any(axis=3)  # (49, 32, 32)
    assert (hidden.sum(axis=0) <= 1).all()
    assert hidden.any(axis=0).mean() > 0.99  # noise may hold its own mean colour
    assert hidden.any(axis=(1, 2)).all()


def test_the_overlay_is_orange_where_a_part_adds_and_the_photo_where_it_does_not_count():
    heat = np.zeros((7, 7))
    heat[0, 0], heat[6, 6] = 2, -2
    picture = overlay(np.full((32, 32, 3), 128, np.uint8), heat).astype(int)
    assert picture[8, 8, 0] > picture[8, 8, 2] + 60
    assert picture[-8, -8, 2] > picture[-8, -8, 0] + 60
    assert abs(picture[224, 224] - 128).max() <= 3


def test_every_pass_of_a_network_has_one_shape(tiny_swin, striped):
    """Kernels round by shape: with one shape a photo's result is the same in any company."""
    backbone = build_backbone(tiny_swin, 1)
    model = Regressor(backbone, RegressorSection(), LossSection(), (1, 100))
    shapes = []
    backbone.model.patch_embed.register_forward_pre_hook(
        lambda module, photos: shapes.append(tuple(photos[0].shape))
    )
    device, none = Device("cpu", "fp32"), np.empty((40, 0), np.float32)
    embed(backbone, striped[0], ["embedding"], EmbedSection(batch_size=16), device, "test")
    for rows in (np.arange(1), np.arange(23)):
        network_predict(model, striped[0], rows, none, device, batch_size=16)
    assert set(shapes) == {(16, 3, 32, 32)}
    assert len(shapes) == 3 + 1 + 2
