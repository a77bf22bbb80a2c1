"""Which backbones end in time, by speeds that were noted; where names, shares and scales turn."""

import numpy as np
import pandas as pd
import pytest

from paw_stack.artifacts.files import write_json
from paw_stack.config import digest
from paw_stack.errors import DataError
from paw_stack.guess import backbones
from paw_stack.guess.backbones import choose_backbones, duration
from paw_stack.guess.columns import choose_targets, find_roles, find_spread, numeric_columns
from paw_stack.guess.scale import scale_of
from paw_stack.guess.weights import Weights
from paw_stack.network.device import Device
from paw_stack.processes import usable_cores

SIZES = {
    "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k": 113,
    "convnext_tiny.fb_in22k_ft_in1k": 114,
    "swin_base_patch4_window7_224.ms_in22k_ft_in1k": 351,
    "swin_base_patch4_window7_224.ms_in22k": 350,
    "convnext_base.fb_in22k_ft_in1k": 354,
    "swin_large_patch4_window7_224.ms_in22k_ft_in1k": 787,
    "convnext_large.fb_in22k_ft_in1k": 791,
}


@pytest.fixture
def choose(monkeypatch, tmp_path):
    """What is chosen for 1,000 photos, of networks that take these milliseconds a photo."""
    monkeypatch.setattr(backbones, "_fits", lambda weights: True)

    def chosen(minutes, tiny, base, large, device="cpu"):
        on = Device(device, "fp32")
        monkeypatch.setattr("paw_stack.network.device.resolve_device", lambda compute: on)
        for model in SIZES:
            pace = tiny if "tiny" in model else base if "base" in model else large
            note = tmp_path / "speeds" / f"{digest(model, str(on), usable_cores())}.json"
            write_json(note, {"seconds_a_photo": pace / 1000})
        found = [Weights(model, None, size) for model, size in SIZES.items()]
        choice = choose_backbones(found, 1000, minutes, tmp_path)
        return [(s.name, s.frozen) for s in choice.sections], choice.seconds, choice.why

    return chosen


def test_the_best_three_of_different_names_fill_the_time(choose):
    """Of 360 seconds for networks, two large ones would take 1,000."""
    names, seconds, why = choose(10, 50, 150, 500)
    assert names == [("convnext_base", True), ("swin_base", True), ("convnext_tiny", True)]
    assert seconds == 350
    assert "they take about 5.8 minutes of 10 minutes" in why
    alike = choose(10, 50, 100, 500)[0]  # there would be time for a second swin_base
    assert [name for name, _ in alike] == ["convnext_base", "swin_base", "convnext_tiny"]
    names, seconds, _ = choose(100, 50, 150, 500)
    assert [name for name, _ in names] == ["convnext_large", "swin_large", "convnext_base"]
    assert seconds == 1150


def test_a_model_is_measured_unless_a_smaller_one_makes_it_hopeless(choose):
    """787 / 354 of 230 seconds are 511, within one and a half times 360; of 250 they are 556."""
    assert choose(10, 50, 230, 340)[0][0] == ("convnext_large", True)
    assert choose(10, 50, 250, 340)[0][0] == ("convnext_base", True)


def test_on_a_gpu_the_best_that_can_be_is_fine_tuned_and_no_other(choose):
    """A fine-tuned one takes 53 passes: 265 of 360 seconds."""
    names, seconds, why = choose(10, 0.5, 1.5, 5, device="cuda")
    assert names == [("convnext_large", False), ("swin_large", True), ("convnext_base", True)]
    assert seconds == pytest.approx(5 * 53 + 5 + 1.5)
    assert "convnext_large is fine-tuned" in why
    assert choose(10, 0.5, 1.5, 20, device="cuda")[0] == [
        ("convnext_large", True),
        ("swin_large", True),
        ("convnext_base", False),
    ]


def test_where_none_ends_in_time_the_fastest_is_taken(choose):
    names, seconds, why = choose(0.001, 50, 150, 500)
    assert names[0][0] in ("swin_tiny", "convnext_tiny") and len(names) == 1
    assert seconds == 50
    assert "too slow even so" in why


def test_durations_are_seconds_below_a_hundred():
    told = {0.4: "0 s", 99.4: "99 s", 100: "1.7 minutes", 180: "3 minutes"}
    assert {seconds: duration(seconds) for seconds in told} == told


def roles(n: int, kinds: int, column: str = "owner"):
    ids = [f"p{row}" for row in range(n)]
    return find_roles(pd.DataFrame({"Id": ids, column: [f"o{r % kinds}" for r in range(n)]}), "Id")


def test_a_group_is_neither_a_kind_nor_a_photo():
    """Five at least, and half of the root of the rows; fewer than there are rows."""
    wanted = {(50, 4): None, (50, 5): "owner", (50, 49): "owner", (50, 50): None}
    wanted |= {(400, 9): None, (400, 10): "owner"}
    assert {given: roles(*given).group for given in wanted} == wanted
    assert roles(50, 10, "rater").rater is None  # no photo has two rows


def test_a_weight_is_above_nought_and_a_photos_group_is_one():
    table = pd.DataFrame({"Id": list("aabbcc"), "weight": list("112233")})
    table["pet"] = ["p1", "p1", "p2", "p2", "p3", "p3"]
    assert find_roles(table, "Id").weight == "weight"
    assert find_roles(table.assign(weight=list("001122")), "Id").weight is None
    assert find_roles(table.assign(weight=list("121212")), "Id").weight is None


def test_a_spread_is_not_negative_and_counts_are_one_or_more():
    def told(sd, n):
        table = pd.DataFrame({"Id": list("abc"), "nice": ["1", "2", "4"], "sd": sd, "n": n})
        numeric = numeric_columns(table, ["Id"])
        return find_spread(numeric, "nice", True), find_spread(numeric, "nice", False)

    assert told(["0", "1", "2"], ["1", "2", "2"]) == (("sd", "n"), None)
    assert told(["-1", "1", "2"], ["1", "2", "2"]) == (None, None)
    assert told(["0", "1", "2"], ["0", "2", "2"]) == (None, None)


def test_names_are_tried_from_the_surest_word_on_and_whole_before_part():
    scores = ["1.5", "4", "8.25", "9.9"]

    def best(*names):
        table = pd.DataFrame({"Id": list("abcd"), **dict.fromkeys(names, scores)})
        return choose_targets(table, numeric_columns(table, ["Id"]), (), (), (), "t")[0]

    assert best("quality", "rating") == ["rating"]
    assert best("meanScore", "quality") == ["quality"]
    assert best("height", "meanScore") == ["meanScore"]
    numbered = pd.DataFrame({"Id": list("abcd"), "number": list("1235"), "x": scores})
    with pytest.raises(DataError, match="which column is the score"):
        choose_targets(numbered, numeric_columns(numbered, ["Id"]), (), (), ("number", "x"), "t")
    rows = numbered.assign(number=list("1234"))
    assert list(numeric_columns(rows, ["Id"])) == ["x"]


def column(*cells: str):
    return scale_of(pd.Series(cells, dtype=str))


def test_four_of_five_cells_are_numbers_of_those_that_hold_any():
    good = [str(number) for number in range(1, 9)]
    assert column(*good, "x", "y") is not None
    assert column(*good[:7], "x", "y") is None
    found = column(*good[:4], "x", "", "n/a", "-", "", "", "")
    assert found.n_missing == 6
    assert np.isnan(found.numbers[4:]).all()


def test_a_scale_is_half_filled_and_of_one_whole():
    assert column("1", "3").bounds == (1, 5)
    assert column("1", "2.9").bounds is None
    assert column("0", "5").bounds == (0, 10)
    assert (column("10 %", "90 %").scores, column("10 %", "90 %").bounds) == ("percent", (0, 100))
    assert column("10 %", "160 %").bounds is None
    assert (column("1/10", "8/10").bounds, column("0/10", "8/10").bounds) == ((1, 10), (0, 10))
    mixed = column("1/5", "8/10")
    assert mixed.numbers.tolist() == [0.2, 0.8] and mixed.bounds == (0, 1)
