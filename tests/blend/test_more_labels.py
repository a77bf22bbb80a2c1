"""What more labels would bring: laws are found, intervals hold, nothing is below the noise."""

import numpy as np
import pytest

from paw_stack.blend.labels.more_labels import fitted_laws, more_labels_sentence, twice_as_many
from paw_stack.config import KernelRidgeSection
from paw_stack.data.folds import Folds, make_folds
from paw_stack.heads.kernels.learning_curve import learning_curve, predictions_of, shared_kernel

SIZES = np.array([125.0, 250, 500, 1000])


def told(squares, blend_squares=None, floor=0.0, group_of=None, weight=None, sizes=None):
    """With the curve's own last errors as the blend's."""
    last = squares[-1][0] if blend_squares is None else blend_squares
    own = np.arange(squares[0].shape[1]) if group_of is None else group_of
    sizes = SIZES * len(own) / 1000 if sizes is None else sizes
    theirs = own if len(own) == len(last) else np.arange(len(last))
    blended = weight if weight is None or len(weight) == len(last) else None
    return twice_as_many(sizes, squares, last, floor, (weight, blended), (own, theirs), 0)


def errors(means, n=1000, draws=(16, 8, 4, 1), seed=0):
    """Squared errors of these means: rows are unevenly hard, and draws differ a little."""
    rng = np.random.default_rng(seed)
    hard = rng.chisquare(1, n)
    hard /= hard.mean()
    return [
        mean * hard * (1 + 0.02 * rng.normal(size=(count, 1)) * (count > 1))
        for mean, count in zip(means, draws, strict=True)
    ]


@pytest.mark.parametrize("c", [0.35, 0.75, 1.5])
@pytest.mark.parametrize("a", [0.0, 2.0])
def test_a_power_law_goes_on(a, c):
    def law(n):
        return a + 5 * (n / 1000) ** -c

    laws = fitted_laws(SIZES, law(SIZES), np.diag((0.001 * law(SIZES)) ** 2), 0.0, 0)
    found = np.median(laws.at(2000))
    assert found == pytest.approx(law(2000), rel=0.03)
    np.testing.assert_allclose([np.median(laws.at(n)) for n in SIZES], law(SIZES), rtol=0.01)


def test_a_flat_curve_promises_nothing():
    found = told(errors([4.0] * 4))
    assert found["twice"]["rmse"] == pytest.approx(2, rel=0.03)
    assert found["twice"]["low"] < 2 < found["twice"]["high"]


def test_no_promise_is_below_the_noise():
    """A steep curve would go below it."""
    squares = errors([16.0, 8, 4, 2])
    free, bound = told(squares), told(squares, floor=1.3)
    assert free["twice"]["rmse"] < 1.3 < bound["twice"]["rmse"]
    assert bound["twice"]["low"] >= 1.3
    assert min(bound["line"]["low"]) >= 1.3
    beyond = told(squares, floor=2.0)  # more noise than the error that was seen
    assert beyond["twice"]["rmse"] == pytest.approx(beyond["now"]["rmse"])


def test_the_blend_gains_the_same_share():
    squares = errors([16.0, 8, 4, 2.5])
    head, blended = told(squares), told(squares, squares[-1][0] / 4)
    assert blended["now"]["rmse"] == pytest.approx(head["now"]["rmse"] / 2)
    for key in ("rmse", "low", "high"):
        assert blended["twice"][key] == pytest.approx(head["twice"][key] / 2, rel=1e-6)
    assert blended["line"] == head["line"]


def test_the_unit_of_scores_changes_nothing_else():
    squares = errors([16.0, 8, 4, 2.5])
    one, cents = told(squares, floor=1.0), told([1e4 * each for each in squares], floor=100.0)
    for key in ("rmse", "low", "high"):
        assert cents["twice"][key] == pytest.approx(100 * one["twice"][key], rel=1e-6)
    assert cents["law"]["c"] == one["law"]["c"]


def test_copies_in_a_group_make_nothing_surer():
    squares = errors([16.0, 8, 4, 2.5], n=300)
    one, four = told(squares), [np.tile(each, 4) for each in squares]
    grouped, lone = told(four, group_of=np.tile(np.arange(300), 4)), told(four)
    width, kept, narrow = (t["twice"]["high"] - t["twice"]["low"] for t in (one, grouped, lone))
    assert kept == pytest.approx(width, rel=0.1)
    assert narrow < 0.8 * width


def test_copies_in_a_group_make_no_curve_surer():
    """Each size has other hard rows, so that they tell its mean square badly."""
    rng = np.random.default_rng(0)
    means = (16.0, 8, 4, 2.5)
    squares = [np.tile(mean * rng.chisquare(1, 300), (1 + (mean > 3), 1)) for mean in means]
    four, groups = [np.tile(each, 4) for each in squares], np.tile(np.arange(300), 4)
    lines = told(squares)["line"], told(four, group_of=groups)["line"], told(four)["line"]
    width, kept, narrow = (line["high"][0] - line["low"][0] for line in lines)
    assert kept == pytest.approx(width, rel=0.15)
    assert narrow < 0.8 * width


def test_a_curve_of_some_rows_goes_on_to_twice_all():
    """The blend has four times the curve's rows: eight times as many are asked of the law."""
    squares = errors([9.0, 6, 4.5, 3.75], n=1000)
    found = told(squares, np.tile(squares[-1][0], 4) * 0.8)
    assert found["now"]["size"] == 4000
    assert found["twice"]["size"] == found["line"]["size"][-1] == pytest.approx(8000)
    assert found["line"]["rmse"][0] == pytest.approx(3, rel=0.03)


def test_a_weight_of_two_is_two_rows_of_one_draw():
    squares = errors([16.0, 8, 4, 2.5], n=300)
    weight = 1.0 + (np.arange(300) % 3 == 0)
    twice = np.repeat(np.arange(300), weight.astype(int))
    weighed = told(squares, weight=weight)
    copied = told([each[:, twice] for each in squares], group_of=twice)
    assert weighed["rmse"] == pytest.approx(copied["rmse"])
    assert weighed["now"]["rmse"] == pytest.approx(copied["now"]["rmse"])


def test_the_sentence_names_photos_rmse_and_interval():
    found = told(errors([16.0, 8, 4, 2.5]))
    twice, sentence = found["twice"], more_labels_sentence(found)
    assert sentence.startswith("with twice as many scored photos (2,000) expect RMSE ")
    assert f"{twice['rmse']:.2f} (95 %: {twice['low']:.2f} to {twice['high']:.2f})" in sentence


def half_and_all(seed: int, n: int = 480) -> tuple[dict[str, float], float]:
    """What a half's curve expects of all rows, and their score."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 64)) * np.arange(1, 65) ** -0.5
    true = X @ rng.normal(size=64)
    y = 5 + true / true.std() + (0.5 + 0.5 * (seed % 2)) * rng.normal(size=n)
    K, alphas = shared_kernel([X.astype(np.float32)]), KernelRidgeSection().alphas
    folds = make_folds(y, np.arange(n), 5, None, seed)
    everything = predictions_of(K, y, folds, alphas, np.arange(n), None)
    rows = np.sort(rng.permutation(n)[: n // 2])
    own = Folds(folds.fold_of[rows], folds.group_of[rows])
    curve = learning_curve(K[np.ix_(rows, rows)], y[rows], own, alphas, seed)
    found = told(curve.squares, sizes=curve.sizes)["twice"]
    return found, float(np.sqrt(np.mean((everything - y) ** 2)))


@pytest.mark.slow
def test_halves_expect_the_score_of_the_whole():
    """Within the interval in at least 90 % of the repeats; unbiased within 3 %."""
    repeats = [half_and_all(seed) for seed in range(40)]
    inside = [found["low"] <= score <= found["high"] for found, score in repeats]
    assert np.mean(inside) >= 0.9
    assert abs(np.mean([found["rmse"] / score - 1 for found, score in repeats])) < 0.03
