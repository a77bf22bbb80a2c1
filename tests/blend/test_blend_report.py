"""What the record tells: planted faults are undone and named, shares and scores are right."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score

from paw_stack.blend import Recipe, blend
from paw_stack.blend.dispersion import dispersion_report, fault
from paw_stack.blend.intervals import fit_interval, predict_interval
from paw_stack.blend.scores import compare, score
from paw_stack.blend.shift import adversarial_auc
from paw_stack.data.folds import make_folds
from paw_stack.data.types import Predictions
from paw_stack.metrics import rmse

N = 2000
BOUNDS = (-100.0, 200.0)


@pytest.fixture(scope="module")
def honest():
    """A calibrated candidate, exactly: (n,) predictions, target, folds."""
    rng = np.random.default_rng(0)
    predicted = rng.normal(50, 10, N)
    noise = rng.normal(0, 15, N)
    noise -= np.polyval(np.polyfit(predicted, noise, 1), predicted)
    target = predicted + noise
    return predicted, target, make_folds(target, np.arange(N), 5, None, 0)


def blended(columns, target, folds, method="auto"):
    everything = [
        Predictions(f"c{i}", p, p[:50], tuple(range(folds.n)), folds.fold_of)
        for i, p in enumerate(columns)
    ]
    return blend(everything, target, folds, Recipe(method, bounds=BOUNDS))


PLANTED = {
    "squashed": (lambda p: 50 + 0.7 * (p - 50), "squashed by 30 %"),
    "shifted": (lambda p: p + 3, "shifted by +3.0 points"),
    "too wide": (lambda p: 50 + 1.2 * (p - 50), "too wide by 20 %"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_named_and_undone(honest, kind):
    predicted, target, folds = honest
    plant, words = PLANTED[kind]
    result = blended([plant(predicted)], target, folds)
    squash = result.record["squash"]
    assert squash["c0"]["sentence"] == words
    assert squash["blend"]["sentence"] == "calibrated"
    assert squash["sentence"].startswith(f"{words}, undone, gain ")
    oof = result.predictions.oof
    assert np.std(oof) / np.std(predicted) == pytest.approx(1, abs=0.02)
    assert np.mean(oof - predicted) == pytest.approx(0, abs=0.06)  # 2 % of 3 points
    assert rmse(target, oof) == pytest.approx(rmse(target, predicted), rel=2e-3)


def test_a_copy_is_named_and_changes_nothing(honest):
    predicted, target, folds = honest
    rng = np.random.default_rng(1)
    others = [predicted + rng.normal(0, s, N) for s in (4, 6)]
    alone = blended(others, target, folds)
    copied = blended([*others, others[0].copy()], target, folds)
    assert copied.record["diversity"]["copies"] == ["c2"]
    assert copied.weights == pytest.approx({**alone.weights, "c2": 0.0})
    np.testing.assert_allclose(copied.predictions.oof, alone.predictions.oof, atol=1e-9)


def test_an_adversarial_candidate_is_named_and_costs_nothing(honest):
    predicted, target, folds = honest
    rng = np.random.default_rng(1)
    others = [predicted + rng.normal(0, s, N) for s in (4, 6)]
    alone = blended(others, target, folds)
    result = blended([*others, 100 - others[1] + rng.normal(0, 3, N)], target, folds)
    assert result.record["squash"]["c2"]["sentence"] == "runs against the target"
    assert result.weights["c2"] == 0
    assert "c2" in result.record["diversity"]["add_nothing"]
    cost = rmse(target, result.predictions.oof) - rmse(target, alone.predictions.oof)
    assert cost < 0.02


def test_calibrated_predictions_are_called_so_and_noise_is_not(honest):
    predicted, target, _ = honest
    assert fault(target, predicted) == ""
    noise = np.random.default_rng(2).normal(50, 10, N)
    assert "says nothing of the target" in fault(target, noise)


def test_stretching_to_the_targets_spread_has_its_price_and_its_optimum(honest):
    predicted, target, _ = honest
    squashed = 50 + 0.8 * (predicted - 50)
    stretching = dispersion_report(target, squashed)["stretching"]
    assert stretching["best"] == pytest.approx(1.25)
    wide = squashed.mean() + stretching["factor"][-1] * (squashed - squashed.mean())
    assert np.std(wide) == pytest.approx(np.std(target))
    assert stretching["rmse"][-1] == pytest.approx(rmse(target, wide))
    assert stretching["best_rmse"] <= min(stretching["rmse"])
    assert stretching["rmse"][0] == pytest.approx(rmse(target, squashed))


def test_bands_deciles_and_extremes_are_of_all_rows(honest):
    predicted, target, _ = honest
    report = dispersion_report(target, predicted)
    assert np.mean([d["target"] for d in report["deciles"]]) == pytest.approx(target.mean())
    for decile in report["deciles"]:  # calibrated: reliable everywhere
        assert decile["predicted"] == pytest.approx(decile["target"], abs=3)
    worst = np.argsort(target)
    squares = (target - predicted) ** 2
    share = squares[worst[-N // 10 :]].sum() / squares.sum()
    assert report["extreme_error_share"]["highest"] == pytest.approx(share)
    low = target < np.quantile(target, 1 / 3)
    assert report["band_rmse"]["lower"] == pytest.approx(rmse(target[low], predicted[low]))


def test_scores_are_scikit_learns_and_scipys(honest):
    predicted, target, folds = honest
    found = score(target, predicted, folds.fold_of)
    assert found["mae"] == pytest.approx(mean_absolute_error(target, predicted))
    assert found["r2"] == pytest.approx(r2_score(target, predicted))
    assert found["spearman"] == pytest.approx(spearmanr(target, predicted).statistic)


def test_the_bootstrap_knows_chance_from_a_difference(honest):
    predicted, target, _ = honest
    rng = np.random.default_rng(4)
    worse = predicted + rng.normal(0, 6, N)
    found = compare(target, predicted, {"worse": worse, "itself": predicted})
    assert found["worse"]["low"] < found["worse"]["difference"] < found["worse"]["high"] < 0
    assert found["worse"]["better"] == 1
    assert found["itself"]["low"] == found["itself"]["high"] == 0


def test_intervals_widen_with_the_error_and_hold_what_they_say():
    rng = np.random.default_rng(7)
    predicted = rng.uniform(10, 80, N)
    target = predicted + rng.normal(0, 1, N) * predicted / 3
    facts = fit_interval(target, predicted, np.arange(N) % 5, (-100, 300))
    assert facts["coverage"] == pytest.approx(0.9, abs=0.015)
    ends = predict_interval({"interval": facts}, np.array([15.0, 75.0]))
    assert np.ptp(ends[1]) > 3 * np.ptp(ends[0])
    for low, high in ((10, 30), (60, 80)):  # in every part, not only on the whole
        part = (predicted >= low) & (predicted < high)
        ends = predict_interval({"interval": facts}, predicted[part])
        inside = (ends[:, 0] <= target[part]) & (target[part] <= ends[:, 1])
        assert inside.mean() == pytest.approx(0.9, abs=0.04)


def test_adversarial_validation_tells_a_shift_from_none():
    rng = np.random.default_rng(9)
    labelled, test = rng.normal(0, 1, (400, 30)), rng.normal(0, 1, (150, 30))
    alike = adversarial_auc(labelled, test)
    assert alike["low"] < 0.5 < alike["high"] + 0.05
    apart = adversarial_auc(labelled, test + 0.5)
    assert apart["low"] > 0.9
    assert adversarial_auc(labelled, test[:10]) is None
