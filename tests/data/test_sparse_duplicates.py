"""Pictures with little content: few others are taken for copies, none surely; chains are cut."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import planted_sparse as made

from paw_stack.commands.check import _noise_sentence
from paw_stack.config import DataSection
from paw_stack.data.competition import load_competition
from paw_stack.data.duplicates import duplicate_groups, duplicate_pairs, tight_groups
from paw_stack.data.images.decode import decode
from paw_stack.data.label_noise import label_noise
from paw_stack.data.same_photo import surely_same
from paw_stack.data.screening import admit, examine

# Share of the copies that are found; where nothing is in a picture, nothing can be compared.
RECALL = {"signature": 0.7, "page": 0.6, "form": 0.6, "silhouette": 0.5, "logo": 0.5, "burst": 0.7}


@pytest.fixture(scope="module")
def found():
    """Kind -> picture numbers (n,), pairs (k, 2) of likely copies, which are sure (k,), copies."""
    answer = {}
    for kind in made.KINDS:
        pictures = list(made.planted_sparse(kind, n_styles=3, n_contents=3, seed=4))
        pixels = np.stack([decode(picture.image, 64, "squash") for picture in pictures])
        pairs = duplicate_pairs(pixels)
        number = np.array([picture.number for picture in pictures])
        copies = sum(picture.change.startswith("copy") for picture in pictures)
        answer[kind] = (number, pairs, surely_same(pixels, pairs), copies)
    return answer


def right(number, pairs):
    return number[pairs[:, 0]] == number[pairs[:, 1]]


def test_pairs_are_copies(found):
    # With OpenCV before 5, which may draw other letters, 4 of 13 likely pairs of forms are none.
    skipped = {"form"} if cv2.__version__ < "5" else set()
    kinds = [found[kind] for kind in found if kind not in skipped]
    told = np.concatenate([right(number, pairs) for number, pairs, _, _ in kinds])
    assert told.mean() >= 0.99


def test_sure_pairs_are_copies_without_exception(found):
    wrong = {kind: (~right(n, pairs[sure])).sum() for kind, (n, pairs, sure, _) in found.items()}
    assert wrong == dict.fromkeys(made.KINDS, 0)


@pytest.mark.parametrize("kind", RECALL)
def test_copies_of_what_can_be_seen_are_found(found, kind):
    number, pairs, sure, copies = found[kind]
    assert right(number, pairs).sum() >= RECALL[kind] * copies
    assert sure.sum() >= 0.5 * RECALL[kind] * copies


def as_cached(pictures):
    return np.stack([cv2.resize(p, (64, 64), interpolation=cv2.INTER_AREA) for p in pictures])


def test_one_square_in_many_colours_is_many_pictures():
    rng = np.random.default_rng(0)
    pictures = np.full((20, 160, 160, 3), 255, np.uint8)
    pictures[:10, 60:100, 60:100] = rng.integers(0, 200, (10, 1, 1, 3))
    pictures[10:, 60:100, 60:100] = pictures[:10, 60:100, 60:100] + 7
    assert len(duplicate_pairs(as_cached(pictures))) == 0


def test_discs_that_grow_and_gradients_that_differ_in_light_are_many_pictures():
    paper = np.full((160, 160, 3), 255, np.uint8)
    discs = [
        cv2.circle(paper.copy(), (80, 80), r, (0, 0, 0), -1, cv2.LINE_AA) for r in range(10, 70, 3)
    ]
    slope = np.tile(np.linspace(0, 1, 160), (160, 1))[..., None].repeat(3, 2)
    ramps = [(20 + slope * top).astype(np.uint8) for top in range(60, 230, 17)]
    assert len(duplicate_pairs(as_cached(discs + ramps))) == 0


def pairs_within(rows, reach):
    return np.array([(i, j) for i in rows for j in rows if i < j <= i + reach], np.int64)


def test_a_film_is_cut_where_its_frames_no_longer_pair():
    film, copies = pairs_within(range(300), 4), pairs_within(range(300, 360), 60)
    group_of = tight_groups(365, np.concatenate([film, copies]))
    assert np.bincount(group_of[:300]).max() <= 9  # a frame and those that it pairs with
    assert (np.bincount(group_of[:300]) > 1).sum() >= 300 / 9
    assert len(set(group_of[300:360])) == 1
    assert len(set(group_of[360:])) == 5


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 80), reach=st.integers(1, 80), seed=st.integers(0, 9))
def test_pieces_lie_within_groups_and_dense_or_small_groups_stay_whole(n, reach, seed):
    order = np.random.default_rng(seed).permutation(n)
    pairs = order[pairs_within(range(n), reach)]
    whole, pieces = duplicate_groups(n, pairs), tight_groups(n, pairs)
    for piece in range(pieces.max() + 1):
        assert len(set(whole[pieces == piece])) == 1
    if n <= 30 or 4 * len(pairs) >= n * (n - 1):
        assert (pieces == whole).all()


@pytest.fixture
def drawings(tmp_path):
    """Twelve forms with scores, and the first six once more, re-encoded."""
    root = tmp_path / "forms"
    for folder in ("train", "test"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(3)
    pictures = [made.form(np.random.default_rng(1), rng) for _ in range(12)]
    photos = [*pictures, *pictures[:6]]  # the last six repeat the first
    rows = ["Id,score"]
    for number, pixels in enumerate(photos):
        how = ".png" if number < 12 else ".jpg"
        cv2.imwrite(str(root / "train" / f"{number}{how}"), pixels)
        rows.append(f"{number}{how},{rng.uniform(1, 100):.2f}")
    (root / "train.csv").write_text("\n".join(rows) + "\n")
    cv2.imwrite(str(root / "test" / "a.png"), np.full((64, 64, 3), 255, np.uint8))
    (root / "test.csv").write_text("Id\na.png\n")
    return DataSection(
        root=root, target="score", bounds=(1, 100), extension="", sample_submission=None
    )


def test_forms_tell_noise_by_their_copies_alone(drawings, tmp_path):
    competition = load_competition(drawings)
    findings = examine(competition, drawings, tmp_path / "cache", seed=0)
    assert findings.pairs.tolist() == [[row, row + 12] for row in range(6)]
    assert findings.noise.n_groups == 6
    kept, group_of = admit(
        competition, findings, drawings.model_copy(update={"duplicates": "merge"})
    )
    assert len(kept.target) == len(set(group_of)) == 12


def test_what_is_likely_shares_a_fold_and_what_is_sure_is_merged(drawings, tmp_path):
    competition = load_competition(drawings)
    findings = examine(competition, drawings, tmp_path / "cache", seed=0)
    unsure = made.np.arange(18)  # as if none were sure
    doubtful = type(findings)(**{**vars(findings), "same_as": unsure})
    kept, group_of = admit(
        competition, doubtful, drawings.model_copy(update={"duplicates": "merge"})
    )
    assert len(kept.target) == 18
    assert group_of[0] == group_of[12]


def test_a_bound_is_said_with_the_number_of_pictures_or_not_at_all():
    def said(target):
        return _noise_sentence(label_noise(np.array(target), np.arange(len(target)) // 2, 0))

    rng = np.random.default_rng(0)
    told = said(rng.uniform(1, 100, 24))
    assert "12 pictures" in told
    assert "no model can reach a lower RMSE" in told
    assert "no model" not in said([1.0, 5, 9, 2, 8, 8])  # three pictures
    assert "no model" not in said(np.repeat([10.0, 20, 30, 40, 50, 60], 2))  # copied scores
