"""Scores of a leaderboard that are kept with a run."""

from paw_stack.artifacts.finished.runs import listed_runs, set_leaderboard


def test_a_later_score_replaces_its_own_name_and_leaves_the_others(tmp_path):
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "config.yaml").touch()
    known: dict[str, float] = {}
    for scores in ({"public": 18.5}, {"private": 17.25}, {"public": 18.0, "late": 20.0}):
        set_leaderboard(folder, scores)
        known |= scores
        assert listed_runs(tmp_path)[0].leaderboard == known
    assert known == {"public": 18.0, "private": 17.25, "late": 20.0}
