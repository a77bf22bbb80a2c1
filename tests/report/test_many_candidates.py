"""A report of many candidates: who is shown at once, who is folded, and how long names stand."""

import re

import numpy as np
import pytest
from helpers.crowds import crowded
from hypothesis import given
from hypothesis import strategies as st

from paw_stack.report import charts, numbers, sentences, svg
from paw_stack.report.page import SHOWN_WEIGHTS, render


@pytest.fixture(scope="module")
def crowd(record):
    return crowded(record)


@pytest.fixture(scope="module")
def html(crowd) -> str:
    return render(crowd)


def section(html: str, name: str) -> str:
    return re.search(rf'<section id="{name}">.*?</section>', html, re.DOTALL).group()


def seen(html: str) -> str:
    """What is there before anything is unfolded."""
    return re.sub(r"<details>.*?</details>", "", html, flags=re.DOTALL)


NAMES = st.tuples(st.sampled_from("abc"), st.sampled_from("klmnopqrst")).map(".".join)


@given(st.dictionaries(NAMES, st.floats(0, 9), max_size=24))
def test_leaders_are_the_best_of_each_kind(errors):
    found = numbers.leaders(errors)
    assert found == sorted(found, key=errors.get)
    if len(errors) <= numbers.LEADERS:
        assert set(found) == set(errors)
        return
    kinds = [name.rpartition(".")[2] for name in found]
    assert len(set(kinds)) == len(kinds)
    assert len(found) == min(numbers.LEADERS, len({name.rpartition(".")[2] for name in errors}))
    for name, kind in zip(found, kinds, strict=True):
        assert errors[name] == min(e for n, e in errors.items() if n.rpartition(".")[2] == kind)


@given(st.text("ab_il犬漢", max_size=40), st.integers(8, 30))
def test_a_shortened_name_keeps_both_ends_and_fits(words, most):
    def width(text):
        return sum({"i": 0.5, "l": 0.5, "犬": 2, "漢": 2}.get(letter, 1) for letter in text)

    found = svg.shortened(words, most)
    if width(words) <= most:
        assert found == words
        return
    first, last = found.split("…")
    assert words.startswith(first)
    assert words.endswith(last)
    assert most - 3 <= width(found) <= most + 1  # the ellipsis may count as wide


def test_the_blend_and_the_best_of_each_kind_come_first_and_the_rest_is_folded(crowd, html):
    leaders = numbers.leaders({n: crowd.blend["scores"][n]["rmse"] for n in crowd.candidates})
    assert len(crowd.candidates) == 37
    assert len(leaders) == 4
    for name in ("candidates", "spread"):
        whole = section(html, name)
        first = list(dict.fromkeys(re.findall(r'class="name" title="(.*?)"', seen(whole))))
        assert first == ["blend", *leaders]
        assert set(re.findall(r'class="name" title="(.*?)"', whole)) == {"blend", *crowd.candidates}
    assert "All 37 candidates" in html
    assert seen(section(html, "spread")).count("<svg") == 5


def test_few_candidates_are_all_seen(record):
    html = render(record)
    assert "<details>" not in section(html, "candidates") + section(html, "blend")
    names = re.findall(r'class="name" title="(.*?)"', section(html, "candidates"))
    best = numbers.leaders({n: record.blend["scores"][n]["rmse"] for n in record.candidates})
    assert names == ["blend", *best]


def test_weights_are_a_chart_and_the_smaller_ones_are_folded(crowd, html):
    blend = section(html, "blend")
    heights = sorted((abs(w) for w in crowd.blend["weights"].values()), reverse=True)
    drawn = re.findall(r'<rect [^>]*class="fill (\w+)"><title>(.*?)</title>', blend)
    told = [abs(float(weight)) for _, weight in drawn]
    assert told == pytest.approx(heights, abs=1e-4)
    assert [kind for kind, _ in drawn].count("other") == len(
        crowd.blend["diversity"]["add_nothing"]
    )
    assert len(re.findall(r'class="fill \w+"', seen(blend))) == SHOWN_WEIGHTS
    rest = sum(sorted(crowd.blend["weights"].values(), key=lambda w: -abs(w))[SHOWN_WEIGHTS:])
    assert f"25 smaller weights, {rest:.3f} together" in blend.replace(svg.MINUS, "-")


def test_who_can_be_left_out_is_counted_and_listed(crowd, html):
    said = sentences.diversity(crowd.blend)
    assert "Can be left out together: 33 of the 37 candidates, listed below." in said
    listed = re.search(r'<ul class="names">(.*?)</ul>', html, re.DOTALL).group(1)
    assert re.findall(r'title="(.*?)"', listed) == crowd.blend["diversity"]["add_nothing"]


def test_the_whole_of_a_shortened_name_is_in_its_tooltip():
    name = "a_backbone_with_quite_a_long_name.penultimate_layer.kernel_ridge"
    rungs = [charts.Rung(f"best candidate: {name}", 0.9), charts.Rung("blend", 0.8)]
    for chart in (charts.ladder(rungs, 3), charts.weights({name: 1.0}, (0.0, 1.0))):
        words = re.sub(r"<(title|desc)>.*?</\1>", "", str(chart))
        assert name not in words
        assert "kernel_ridge<" in words
        assert f"{name}</title>" in str(chart)


def test_no_zero_has_a_sign(html):
    cells = re.findall(r">([^<>]*0\.0+)<", html)
    assert cells
    assert not [cell for cell in cells if svg.MINUS in cell]


@pytest.mark.parametrize(
    ("nested", "inside", "said"),
    [
        (1.5, 1.25, "optimistic by 0.250"),
        (1.25, 1.5, "flatters nothing"),
        (1.0, 0.9999, "flatters nothing"),
    ],
)
def test_optimism_is_never_negative(nested, inside, said):
    assert said in sentences.flattered(nested, inside, 3)


def test_counts_and_shares_are_words_of_their_number():
    assert [sentences.count(n, "pair") for n in (0, 1, 2000)] == [
        "0 pairs",
        "1 pair",
        "2,000 pairs",
    ]
    told = [
        sentences.share(part).replace(sentences.PERCENT, "%") for part in (0.001, 0.5, 0.999, 1)
    ]
    assert told == ["less than 1%", "50%", "more than 99%", "100%"]


def test_a_blend_that_is_wide_enough_is_not_stretched(record):
    known = {"factor": [1.0], "rmse": [14.0], "best": 1.0}
    squash = {**record.blend["squash"]}
    squash["blend"] = {**squash["blend"], "stretching": known}
    said = sentences.squash({**record.blend, "squash": squash})
    assert "as wide as the scores already" in said
    known |= {"factor": [1.0, 1.5], "rmse": [14.0, 13.5]}
    assert "would gain 0.50 points" in sentences.squash({**record.blend, "squash": squash})


def test_a_long_run_shows_its_longest_steps_first(crowd, record):
    from helpers.pages import changed

    from paw_stack.artifacts.finished.steps import StepRecord

    steps = [
        StepRecord("fit", f"s{n}", {**record.steps[-1].facts, "seconds": float(n)})
        for n in np.random.default_rng(0).permutation(20)
    ]
    html = section(render(changed(record, steps=steps)), "time")
    assert "20 steps took 190 seconds together" in html
    first = re.findall(r'class="name" title="(.*?)"', seen(html))
    assert first == [f"s{n}" for n in range(19, 7, -1)]
    every = re.findall(r'class="name" title="(.*?)"', html)
    assert every[12:] == [step.name for step in steps]
