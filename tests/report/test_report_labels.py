"""What the report says of more scores and of doubtful ones."""

import pytest
from helpers.pages import CURVE, Page

from paw_stack.report import labels

NOISE = {"sd": 0.1093, "low": 0.107, "high": 0.111}


def facts(**more):
    return {"label_noise": None, "more_labels": CURVE, **more}


def test_the_sentence_names_what_to_expect_and_the_noise():
    told = labels.more_scores(facts(rating_noise=NOISE))
    assert told["sentence"].replace("\N{NO-BREAK SPACE}", " ") == (
        "With twice as many scored photos, 320, expect an RMSE of 15.40 (95 %: 14.20 to 16.60);"
        " with the 160 of today it is 16.10. The noise floor is 0.109."
    )
    assert "noise" not in labels.more_scores(facts())["sentence"]
    assert labels.more_scores(facts(more_labels=None)) is None


def test_the_chart_shows_every_size_the_blend_and_what_is_expected():
    told = labels.more_scores(facts(label_noise=NOISE))
    marks = [tag for tag, _ in Page(str(told["chart"])).tags if tag == "circle"]
    assert len(marks) == len(CURVE["sizes"]) + 2
    assert "160 photos: 16.500; blend, 160 photos: 16.100; expected, 320" in told["chart"]
    assert "noise floor" in told["chart"]
    assert "noise floor" not in labels.more_scores(facts())["chart"]


def test_doubtful_scores_are_shown_with_their_own_facts(record):
    rows = record.suspicious
    target, blend = (record.labelled["target"].to_numpy(), record.oof["blend"].to_numpy())
    shown = labels.doubtful(record, target, blend)
    assert [row["id"] for row in shown] == rows["Id"].head(12).tolist()
    for row, given in zip(shown, rows.to_dict("records"), strict=False):
        assert row["given"] == given["score"]
        assert row["predicted"] == pytest.approx(given["predicted"])
        assert row["surprise"] == given["surprise"]
