"""Forward selection: against features side by side, and what a choice must not know."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from paw_stack.config import SelectionSection, SvrSection
from paw_stack.errors import DataError
from paw_stack.heads.kernels.distances import distance_blocks, standardise, summed_rbf
from paw_stack.heads.kernels.forward_selection import forward_selection
from paw_stack.heads.selection_head import select_layers
from paw_stack.heads.stored import predict_stored
from paw_stack.metrics import rmse

N, M, F = 160, 25, 4
FOLD_OF = np.arange(N) % F


@pytest.fixture(scope="module")
def layers():
    """Two layers see a part of the signal each, one repeats the first, one is noise."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(N + M, 6)).astype(np.float32)
    seen = {"a": signal[:, :3], "b": signal[:, 3:], "again": signal[:, :3], "noise": signal[:, :0]}
    found = {}
    for width, (name, part) in enumerate(seen.items()):
        noise = rng.normal(size=(N + M, 7 + width))
        X = np.hstack([part + 0.3 * rng.normal(size=part.shape), noise[:, 3:]]).astype(np.float32)
        found[name] = X[:N], X[N:]
    y = 40 + 6 * signal[:N].sum(1) + 4 * rng.normal(size=N)
    return found, y


def concatenated(layers, names):
    """Labelled and test rows, standardised over both."""
    full = np.hstack([np.vstack(layers[name]) for name in names])
    scaled = StandardScaler().fit_transform(full)
    return scaled[:N], scaled[N:]


def naive(layers, names, y, C=3.0, epsilon=0.5):
    """Plain out-of-fold and mean test predictions of scikit-learn."""
    X, X_test = concatenated(layers, names)
    oof, tests = np.empty(N), []
    for k in range(F):
        svr = SVR(C=C, epsilon=epsilon, gamma=1 / X.shape[1], tol=1e-6)
        svr.fit(X[k != FOLD_OF], y[k != FOLD_OF])
        oof[k == FOLD_OF] = svr.predict(X[k == FOLD_OF])
        tests.append(svr.predict(X_test))
    return oof, tests


def naive_greedy(oofs, names, y, rows, starts):
    """Best set by errors on `rows`, over paths from the best single layers."""

    def rate(members):
        return rmse(y[rows], oofs[frozenset(members)][rows])

    best = []
    for members in sorted(([name] for name in names), key=rate)[:starts]:
        while tried := [[*members, name] for name in names if name not in members]:
            if rate(min(tried, key=rate)) >= rate(members):
                break
            members = min(tried, key=rate)
        best.append(members)
    return set(min(best, key=rate))


def test_blocks_add_up_to_features_side_by_side(layers):
    vectors, _ = layers
    a, b, *_ = distance_blocks(vectors)
    X, X_test = concatenated(vectors, ["a", "b"])
    for parts, rows in (([a.labelled, b.labelled], X), ([a.test, b.test], X_test)):
        plain = np.exp(-0.05 * ((rows[:, None] - X[None]) ** 2).sum(2))
        summed = summed_rbf(parts, 0.05, np.empty(parts[0].shape, dtype=np.float32))
        np.testing.assert_allclose(summed, plain, atol=1e-5)


def test_sets_and_predictions_are_those_of_a_naive_search(layers):
    vectors, y = layers
    found = forward_selection(distance_blocks(vectors), y, FOLD_OF, 3.0, 0.5, starts=2, tol=1e-5)
    sets = [names for size in range(1, 5) for names in combinations(vectors, size)]
    oofs = {frozenset(names): naive(vectors, names, y)[0] for names in sets}
    assert set(found.final) == naive_greedy(oofs, vectors, y, np.ones(N, dtype=bool), 2)
    for k in range(F):
        assert set(found.chosen[k]) == naive_greedy(oofs, vectors, y, k != FOLD_OF, 2)
        oof = oofs[frozenset(found.chosen[k])]
        np.testing.assert_allclose(found.oof[k == FOLD_OF], oof[k == FOLD_OF], atol=0.01)
    tests = [naive(vectors, found.chosen[k], y)[1][k] for k in range(F)]
    np.testing.assert_allclose(found.test, np.mean(tests, axis=0), atol=0.01)
    optimistic = rmse(y, naive(vectors, found.final, y)[0])
    assert found.optimistic_rmse == pytest.approx(optimistic, abs=1e-3)
    assert found.nested_rmse == rmse(y, found.oof)


def test_each_step_of_a_path_adds_a_layer_and_lowers_the_error(layers):
    vectors, y = layers
    steps = forward_selection(distance_blocks(vectors), y, FOLD_OF, 3.0, 0.5, starts=2).steps
    for _, path in steps.groupby("start"):
        assert path["step"].tolist() == list(range(1, len(path) + 1))
        assert (np.diff(path["rmse"]) < 0).all()
        assert all(
            added in members.split(" + ")
            for added, members in zip(path["added"], path["set"], strict=True)
        )


def test_blocks_on_disk_give_the_same_bytes(layers, tmp_path):
    vectors, y = layers
    stored = distance_blocks(vectors, tmp_path, memory_bytes=0)
    assert all(isinstance(block.labelled, np.memmap) for block in stored)
    on_disk = forward_selection(stored, y, FOLD_OF, 3.0, 0.5)
    in_memory = forward_selection(distance_blocks(vectors), y, FOLD_OF, 3.0, 0.5)
    assert (on_disk.oof == in_memory.oof).all()
    assert (on_disk.test == in_memory.test).all()
    with pytest.raises(DataError, match="distance matrices need"):
        distance_blocks(vectors, None, memory_bytes=0)


def test_sets_stop_at_the_most(layers):
    vectors, y = layers
    found = forward_selection(distance_blocks(vectors), y, FOLD_OF, 3.0, 0.5, most=1)
    assert all(len(names) == 1 for names in found.chosen)


def test_what_is_kept_predicts_rows_with_all_layers_side_by_side(layers, tmp_path):
    vectors, y = layers
    svr = SvrSection(C=3, epsilon=0.5, clip=(20, 70))
    found = select_layers(svr, SelectionSection(), vectors, y, FOLD_OF, tmp_path, 1e9)
    full = np.hstack([test for _, test in vectors.values()])
    kept = [predict_stored(head, full) for head in found.heads.values()]
    np.testing.assert_allclose(np.mean(kept, axis=0), found.test, rtol=1e-6)
    assert len({tuple(names) for names in found.facts["chosen"]}) == len(found.heads)


def test_a_gamma_of_its_own_holds_for_every_set(layers):
    vectors, y = layers
    only_a = {"a": vectors["a"]}
    found = forward_selection(distance_blocks(only_a), y, FOLD_OF, 3.0, 0.5, gamma=0.3, tol=1e-5)
    X, _ = standardise(*vectors["a"])[:2]
    svr = make_pipeline(SVR(C=3, epsilon=0.5, gamma=0.3, tol=1e-6))
    svr.fit(X[FOLD_OF != 0], y[FOLD_OF != 0])
    np.testing.assert_allclose(found.oof[FOLD_OF == 0], svr.predict(X[FOLD_OF == 0]), atol=0.01)


def test_what_cannot_be_selected_from_is_named(layers):
    vectors, y = layers
    with pytest.raises(DataError, match="at least one embedding"):
        forward_selection([], y, FOLD_OF, 1.0, 0.1)
    with pytest.raises(DataError, match="at least two folds"):
        forward_selection(distance_blocks(vectors), y, FOLD_OF * 0, 1.0, 0.1)
    with pytest.raises(DataError, match="expected one size"):
        distance_blocks({**vectors, "short": (vectors["a"][0][:9], vectors["a"][1])})
