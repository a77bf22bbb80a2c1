"""Scores that are missing, several raters' or means with a spread: what is learned, and how noisy
it is."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from paw_stack.commands.check import report_data
from paw_stack.config import Config, RunSection
from paw_stack.console import printing
from paw_stack.data.competition import load_competition
from paw_stack.data.label_noise import error_of_mean, rating_noise, variance_within
from paw_stack.data.screening import admit, examine
from paw_stack.errors import DataError

AVERAGE = {"raters": "average"}
SPREAD = {"score_sd": "sd", "score_n": "n"}


def problems(data):
    with pytest.raises(DataError) as caught:
        load_competition(data)
    return caught.value.problems


def rewritten(data, change, **keys):
    """The section with these keys, its labelled table changed."""
    table = pd.read_csv(data.root / "train.csv", dtype=str, keep_default_na=False)
    change(table).to_csv(data.root / "train.csv", index=False)
    return type(data)(**{**data.model_dump(), **keys})


def repeated(table):
    """Two further rows of the first photo, one of the third."""
    more = table.iloc[[0, 0, 2]].assign(score=["3", "5", "6"])
    return pd.concat([table, more]).iloc[[6, 1, 2, 0, 3, 4, 5, 8, 7]]


@pytest.mark.parametrize("cell", ["", "NA", "NaN", "null", "n/a", "-", " ", "#N/A", "None"])
def test_rows_without_a_score_are_dropped_where_the_config_says_so(cell, pictures):
    data = rewritten(pictures, lambda t: t.assign(score=[cell, *t.score[1:]]))
    assert "set data.missing_scores: drop" in problems(data)[0]
    found = load_competition(data.model_copy(update={"missing_scores": "drop"}))
    assert found.labelled.ids.tolist() == ["p1", "p2", "p3", "p4", "p5"]
    assert found.target.tolist() == [2, 3, 4.5, 8, 9]
    assert found.remarks == ("train.csv: 1 of 6 rows have no score and are left out",)


def test_what_is_no_score_is_not_dropped(pictures):
    data = rewritten(
        pictures, lambda t: t.assign(score=["high", "", *t.score[2:]]), missing_scores="drop"
    )
    assert "no finite number for ids 'p0' (1 in all); first found 'high'" in problems(data)[0]
    data = rewritten(pictures, lambda t: t.assign(score=""), missing_scores="drop")
    assert "score is missing for all rows" in problems(data)[0]


def test_several_rows_of_a_photo_are_an_error_that_names_the_key(pictures):
    found = problems(rewritten(pictures, repeated))
    assert any("'p0', 'p2'" in line and "data.raters: average" in line for line in found)


def test_the_mean_over_raters_is_the_score(pictures):
    found = load_competition(rewritten(pictures, repeated, **AVERAGE))
    assert found.labelled.ids.tolist() == ["p0", "p1", "p2", "p3", "p4", "p5"]
    assert found.target.tolist() == [3, 2, 4.5, 4.5, 8, 9]
    within = (2**2 + 2**2 + 1.5**2 + 1.5**2) / 3  # of p0 (1, 3, 5) and p2 (3, 6)
    wanted = [within / 3, within, within / 2, within, within, within]
    np.testing.assert_allclose(found.score_variance, wanted)
    assert "9 scores of 6 photos, from 1 to 3 each, are averaged" in found.remarks[0]


def test_a_photos_rows_agree_in_all_but_the_score(pictures):
    def other(table):
        table = repeated(table)
        return table.assign(a=["0", *table["a"][1:]])

    assert any("differ in a: 'p0'" in p for p in problems(rewritten(pictures, other, **AVERAGE)))


def test_raters_without_a_score_are_dropped_before_the_mean(pictures):
    def lacking(table):
        table = repeated(table)
        return table.assign(score=["", *table["score"][1:]])

    found = load_competition(rewritten(pictures, lacking, missing_scores="drop", **AVERAGE))
    assert dict(zip(found.labelled.ids, found.target, strict=True))["p0"] == 3  # of 1 and 5
    assert len(found.remarks) == 2


def test_one_row_a_photo_tells_no_noise(pictures):
    found = load_competition(rewritten(pictures, lambda t: t, **AVERAGE))
    assert found.score_variance is None
    assert found.rating_noise is None


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9)), min_size=1, max_size=40))
def test_the_variance_of_a_rating_equals_the_loops(drawn):
    photo, score = (np.array(column) for column in zip(*drawn, strict=True))
    photo = np.unique(photo, return_inverse=True)[1]
    squares, freedom = 0.0, 0
    for number in set(photo.tolist()):
        own = score[photo == number]
        squares += ((own - own.mean()) ** 2).sum()
        freedom += len(own) - 1
    found = variance_within(score.astype(float), photo)
    assert (found is None) == (freedom == 0)
    if found is not None:
        assert found[0] == pytest.approx(squares / freedom)
        assert found[1] > 0 or np.isclose(found[1], 0)


def ratings(rng, n, most=9, sd=1.3):
    """Photo and rating (k,) of n photos with one to `most` raters; the floor that this makes."""
    count = rng.integers(1, most + 1, n)
    photo = np.repeat(np.arange(n), count)
    truth = rng.normal(5, 1, n)
    return photo, truth[photo] + rng.normal(0, sd, len(photo)), sd * np.sqrt((1 / count).mean())


def test_the_noise_of_simulated_raters_is_recovered_within_5_percent():
    rng = np.random.default_rng(0)
    photo, score, floor = ratings(rng, 1500)
    within, error = variance_within(score, photo)
    found = rating_noise(within / np.bincount(photo), error)
    assert found.sd == pytest.approx(floor, rel=0.05)
    assert found.low < floor < found.high
    assert found.high / found.low < 1.1


def test_published_spreads_tell_the_same_noise_as_the_ratings():
    rng = np.random.default_rng(1)
    n, raters = 800, 25
    score = rng.normal(5, 1, n)[:, None] + rng.normal(0, 1.3, (n, raters))
    variance = score.std(axis=1, ddof=1) ** 2 / raters
    found = rating_noise(variance, error_of_mean(variance))
    assert found.sd == pytest.approx(1.3 / np.sqrt(raters), rel=0.05)
    within, _ = variance_within(score.ravel(), np.repeat(np.arange(n), raters))
    assert found.sd == pytest.approx(np.sqrt(within / raters), rel=1e-9)


@pytest.mark.parametrize("published", [False, True])
def test_the_interval_of_the_noise_holds_it_in_about_95_percent(published):
    rng, held = np.random.default_rng(2), []
    for _ in range(400):
        if published:
            spread = 1.3 * np.sqrt(rng.chisquare(19, 150) / 19)
            variance, floor = spread**2 / 20, 1.3 / np.sqrt(20)
            found = rating_noise(variance, error_of_mean(variance))
        else:
            photo, score, floor = ratings(rng, 150)
            within, error = variance_within(score, photo)
            found = rating_noise(within / np.bincount(photo), error)
        held.append(found.low <= floor <= found.high)
    assert 0.91 <= np.mean(held) <= 0.985


def test_few_photos_and_raters_who_agree_tell_no_interval():
    for score, photo in (([1.0, 3, 5, 9], [0, 0, 1, 1]), ([4.0] * 12, np.arange(12) // 2)):
        within, error = variance_within(np.array(score), np.array(photo))
        found = rating_noise(np.full(2, within), error)
        assert (found.low, found.high) == (0, np.inf)
    assert error_of_mean(np.zeros(10)) == error_of_mean(np.ones(4)) == np.inf


def with_spread(table):
    return table.assign(sd=["1", "2", "0", "1", "1", "3"], n=["4", "4", "1", "2", "100", "9"])


def test_columns_tell_the_variance_of_a_mean(pictures):
    found = load_competition(rewritten(pictures, with_spread, **SPREAD))
    np.testing.assert_allclose(found.score_variance, [0.25, 1, 0, 0.5, 0.01, 1])
    assert found.rating_noise.sd == pytest.approx(np.sqrt(2.76 / 6))


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("sd", "-1", "sd below 0 for ids 'p0'"),
        ("n", "0", "n below 1 for ids 'p0'"),
        ("n", "", "column n holds no finite number for ids 'p0'"),
        ("sd", "x", "column sd holds no finite number for ids 'p0'"),
    ],
)
def test_a_spread_that_cannot_be_is_named(column, cell, message, pictures):
    def spoilt(table):
        table = with_spread(table)
        return table.assign(**{column: [cell, *table[column][1:]]})

    (found,) = problems(rewritten(pictures, spoilt, **SPREAD))
    assert message in found


@pytest.mark.parametrize(
    "keys", [{"score_sd": "sd"}, {"score_n": "n"}, {**SPREAD, **AVERAGE}], ids=str
)
def test_a_spread_needs_one_source(keys, pictures):
    with pytest.raises(ValidationError, match=r"leave out score_sd|give both or neither"):
        type(pictures)(**{**pictures.model_dump(), **keys})


def test_merged_photos_have_the_variance_of_their_mean(pictures, tmp_path):
    data = rewritten(pictures, with_spread, duplicates="merge", **SPREAD)
    for copy in ("p1", "p5"):
        (data.root / "train" / f"{copy}.png").write_bytes(
            (data.root / "train" / "p0.png").read_bytes()
        )
    competition = load_competition(data)
    findings = examine(competition, data, tmp_path / "cache", seed=0)
    kept, _ = admit(competition, findings, data)
    assert kept.labelled.ids.tolist() == ["p0", "p2", "p3", "p4"]
    np.testing.assert_allclose(kept.score_variance, [(0.25 + 1 + 1) / 9, 0, 0.5, 0.01])
    assert kept.target[0] == pytest.approx((1 + 2 + 9) / 3)


def test_both_sources_of_noise_are_said_and_the_exact_one_leads(
    pictures, tiny_swin, tmp_path, capsys
):
    data = rewritten(pictures, with_spread, **SPREAD)
    (data.root / "train" / "p1.png").write_bytes((data.root / "train" / "p0.png").read_bytes())
    competition = load_competition(data)
    findings = examine(competition, data, tmp_path / "cache", seed=0)
    config = Config(run=RunSection(name="r"), data=data, backbones=[tiny_swin])
    with printing():
        report_data(config, competition, findings)
    said = capsys.readouterr().out
    assert said.index("label noise, exact: SD 0.68") < said.index("scores of one picture differ")
