"""The report: what it says, that it says it again byte for byte, and that it needs nothing else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import CANDIDATES, N_LABELLED, N_TEST, call, failure
from helpers.pages import HOSTILE, Page, changed, hostile
from hypothesis import given
from hypothesis import strategies as st

from paw_stack.artifacts.finished.steps import StepRecord, VectorSample
from paw_stack.blend.dispersion import dispersion_report
from paw_stack.report import numbers, svg
from paw_stack.report.page import CONTENTS, render

LARGEST = 5_000_000  # bytes


def test_a_run_ends_with_a_report_and_the_command_writes_the_same_bytes(run):
    before = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    call("report", run)
    assert (run / "report.html").read_bytes() == before
    (run / "report.html").unlink()
    call("report", run.parents[1] / "config.yaml")
    assert (run / "report.html").read_bytes() == before


def test_the_folder_may_be_moved(run, tmp_path):
    shutil.copytree(run, tmp_path / "tiny")
    (tmp_path / "tiny" / "report.html").unlink()
    call("report", tmp_path / "tiny")
    assert (tmp_path / "tiny" / "report.html").read_bytes() == (run / "report.html").read_bytes()


def test_it_reads_back_what_the_run_learned(run, record, sample_folder):
    table = pd.read_csv(sample_folder / "train.csv", dtype={"Id": str}).set_index("Id")
    assert (
        record.labelled["target"].tolist() == table.loc[record.labelled["Id"]].iloc[:, -1].tolist()
    )
    assert list(record.oof) == list(record.test) == [*CANDIDATES, "blend"]
    assert record.oof.notna().all().all()
    assert len(record.test) == N_TEST
    error = np.sqrt(((record.oof["blend"] - record.labelled["target"]) ** 2).mean())
    assert error == pytest.approx(record.blend["scores"]["blend"]["rmse"])
    assert {unit.stage for unit in record.steps} == {"finetune", "embed", "fit"}
    assert record.sample is not None
    assert (record.folds.fold_of[record.sample.rows] == 0).all()
    stored = np.load(run / "embeddings" / "swin" / "fold0" / "embedding.npy")
    ids = pd.read_csv(run / "embeddings" / "swin" / "fold0" / "ids.csv", dtype=str)["Id"].tolist()
    row = ids.index(record.labelled["Id"].iloc[record.sample.rows[3]])
    np.testing.assert_array_equal(record.sample.vectors[3], stored[row])


def test_every_section_is_there_and_the_headline_is_the_nested_score(record):
    page = Page(render(record))
    sections = {section["id"] for section in page.all("section")}
    # A tiny blend may beat its candidates, and then there is nothing to warn of; a network that was
    # fine-tuned on all scores tells no curve of fewer.
    assert sections | {"warnings", "more"} == set(CONTENTS)
    assert {link["href"] for link in page.all("a")} == {f"#{name}" for name in sections}
    assert f"{record.blend['scores']['blend']['rmse']:.2f}" in page.text
    for name in CANDIDATES:
        assert f"{record.blend['scores'][name]['rmse']:.3f}" in page.text
    assert f"{N_LABELLED} labelled photos" in page.text


def test_nothing_is_loaded_and_it_is_small(record):
    html = render(record)
    assert len(html.encode()) < LARGEST
    page = Page(html)
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.all("img"))
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    assert all(link["href"].startswith("#") for link in page.all("a"))
    assert not [attributes for _, attributes in page.tags if {"srcset", "action"} & set(attributes)]
    assert "@import" not in html
    assert "url(" not in html


def test_pictures_and_tables_can_be_heard(record):
    page = Page(render(record))
    assert all(image["alt"] for image in page.all("img"))
    assert all(svg["role"] == "img" for svg in page.all("svg"))
    assert len(page.all("desc")) == len(page.all("svg")) > 8
    assert all(header.get("scope") in ("row", "col") for header in page.all("th"))


def test_hostile_names_stay_text(record):
    html = render(hostile(record))
    page = Page(html)
    assert len(page.all("script")) == 1
    assert "<script>alert" not in html
    assert page.text.count(HOSTILE) > 5
    assert f"Photo {HOSTILE}" in [image["alt"] for image in page.all("img")]
    assert html.count("49.jpg") == 0


def test_photos_without_a_picture_leave_a_place(record):
    page = Page(render(changed(record, pictures=lambda kind, name: b"")))
    assert not page.all("img")
    assert "photo not at hand" in page.text


def test_warnings(record):
    blend = {**record.blend, "optimistic": ["swin.nn"]}
    blend["shift"] = {**blend["shift"], "adversarial": {"auc": 0.9, "low": 0.8, "high": 0.95}}
    blend["scores"] = {**blend["scores"], "swin.svr": {**blend["scores"]["swin.svr"], "rmse": 0.1}}
    photos = record.photos.assign(reason=["truncated", *[""] * (len(record.photos) - 1)])
    old = StepRecord("finetune", "old", {**record.steps[0].facts, "versions": {"torch": "1.0"}})
    units = [old, *record.steps[1:]]
    text = Page(render(changed(record, blend=blend, photos=photos, steps=units))).text
    assert "Optimistic: held-out photos chose the epoch" in text
    assert "no better than its best candidate, swin.svr" in text
    assert "another kind than labelled ones (AUC 0.90)" in text
    assert "Photos that cannot be read: 1" in text
    assert "different versions: torch 1.0 and" in text


def test_a_run_without_test_photos_and_embeddings_has_fewer_sections(record):
    shift = {**record.blend["shift"], "adversarial": None, "predictions": None}
    bare = changed(
        record,
        blend={**record.blend, "shift": shift},
        test=record.test.iloc[:0],
        sample=None,
        pairs=record.pairs.iloc[:0],
        histories={},
    )
    page = Page(render(bare))
    sections = {section["id"] for section in page.all("section")}
    assert not {"shift", "map"} & sections
    assert "No two photos look the same" in page.text


def test_a_blend_that_is_constant_is_told_of(record):
    """What JSON has no number for is null there."""
    target = record.labelled["target"].to_numpy()
    told = dispersion_report(target, np.full(len(target), 40.0))
    told |= {"slope": None}
    scores = record.blend["scores"]
    blend = {
        **record.blend,
        "squash": {**record.blend["squash"], "blend": told},
        "scores": {**scores, "blend": {**scores["blend"], "slope": None, "r2": None}},
    }
    page = Page(render(changed(record, blend=blend, oof=record.oof.assign(blend=40.0))))
    assert "Every photo gets the same prediction" in page.text
    assert "no better than guessing the average" in page.text
    assert "in the right order 50 times of 100" in page.text
    values = [cell["data-value"] for cell in page.all("td") if "data-value" in cell]
    assert "" in values
    assert all(np.isfinite(float(value)) for value in values if value)
    assert "NaN" not in str(page.all("path")) + str(page.all("circle"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "blend" / "blend.json").unlink(), "no blend/blend.json"),
        (lambda folder: (folder / "blend" / "blend.json").write_text("{"), "paw-stack blend again"),
        (lambda folder: (folder / "blend" / "blend.json").write_text("[]"), "holds list"),
        (lambda folder: _forget(folder, "squash"), "blend.json lacks 'squash'"),
        (lambda folder: (folder / "predictions" / "swin.svr.csv").unlink(), "swin.svr.csv"),
    ],
)
def test_a_run_that_cannot_be_told_of(change, message, run, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "tiny"
    shutil.copytree(run, folder)
    (folder / "report.html").unlink()
    change(folder)
    said = failure(capsys, monkeypatch, "report", folder)
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (folder / "report.html").exists()


def _forget(folder: Path, key: str) -> None:
    facts = json.loads((folder / "blend" / "blend.json").read_text())
    del facts[key]
    (folder / "blend" / "blend.json").write_text(json.dumps(facts))


def test_no_such_run(tmp_path, capsys, monkeypatch):
    (tmp_path / "empty").mkdir()
    assert "no run; give a folder" in failure(capsys, monkeypatch, "report", tmp_path / "empty")
    assert "cannot be read" in failure(capsys, monkeypatch, "report", tmp_path / "gone.yaml")


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=2, max_size=30))
def test_right_order_counts_pairs(rows):
    target, predicted = np.array(rows, dtype=float).T
    differ, right = 0, 0.0
    for i in range(len(rows)):
        for j in range(i):
            if target[i] != target[j]:
                differ += 1
                sign = np.sign((target[i] - target[j]) * (predicted[i] - predicted[j]))
                right += (1 + sign) / 2  # a tie is a coin
    expected = right / differ if differ else 0.5
    assert numbers.right_order(target, predicted) == pytest.approx(expected)


def test_the_interval_of_an_rmse_is_that_of_resampled_rows():
    rng = np.random.default_rng(0)
    target, predicted = rng.normal(0, 3, 800), rng.normal(0, 1, 800)
    squares = (target - predicted) ** 2
    drawn = np.sqrt(squares[rng.integers(0, 800, (4000, 800))].mean(axis=1))
    low, high = numbers.rmse_interval(target, predicted)
    assert [low, high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), rel=0.01)
    assert numbers.rmse_interval(target, target) == (0, 0)


def test_tenths_hold_every_photo_in_order():
    predicted = np.random.default_rng(1).permutation(100).astype(float)
    found = numbers.tenths(2 * predicted, predicted)
    assert found[:, 0].tolist() == [4.5 + 10 * k for k in range(10)]
    assert found[:, 1].tolist() == [9.0 + 20 * k for k in range(10)]


def test_photo_sets_are_the_ends():
    target, predicted = np.array([5.0, 1, 9, 4]), np.array([1.0, 8, 2, 3])
    sets = numbers.photo_sets(target, predicted)
    assert sets.highest.tolist() == [1, 3, 2, 0]
    assert sets.lowest.tolist() == [0, 2, 3, 1]
    assert sets.overrated.tolist() == [1, 3, 0, 2]
    assert sets.underrated[0] == 2


def test_the_map_keeps_the_widest_plane_and_never_turns():
    rng = np.random.default_rng(2)
    plane = rng.normal(size=(60, 2)) * [5, 3]
    vectors = (plane @ np.linalg.qr(rng.normal(size=(9, 2)))[0].T).astype(np.float32)
    sample = VectorSample("a", vectors, np.arange(60))
    at, share = numbers.places(sample)
    assert share == pytest.approx(1)
    apart = np.linalg.norm(at[:, None] - at, axis=2)
    np.testing.assert_allclose(
        apart, np.linalg.norm(plane[:, None] - plane, axis=2), rtol=1e-3, atol=1e-3
    )
    np.testing.assert_array_equal(numbers.places(sample)[0], at)


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.integers(2, 10))
def test_ticks_are_round_and_inside(low, width, wanted):
    found = svg.ticks(low, low + width, wanted)
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in found)
    assert len(found) <= wanted + 1
    assert len(found) >= wanted / 2.5 - 1


def test_shapes_escape_what_they_are_given():
    made = svg.chart("<a>", "&", [svg.text(1, 2, HOSTILE), svg.dot(1, 2, 3, "mark", "<b>")])
    assert "<a>" not in made
    assert "<b>" not in made
    assert "<script>" not in made
