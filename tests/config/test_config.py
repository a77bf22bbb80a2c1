"""Configs: every problem at once, with the key's path; extends and overrides."""

import pytest

from paw_stack.config import digest, load_config
from paw_stack.errors import ConfigError

SOUND = """
run: {name: x}
data: {root: d, target: score, bounds: [1, 9]}
backbones: [{name: a, model: swin_tiny_patch4_window7_224}]
"""


def write(folder, text, name="c.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def problems(path, overrides=()):
    with pytest.raises(ConfigError) as caught:
        load_config(path, list(overrides))
    return caught.value.problems


def test_defaults_are_filled_in(tmp_path):
    config = load_config(write(tmp_path, SOUND))
    assert config.folds.n == 5
    assert sorted(config.heads.named()) == ["gbm", "ridge", "svr"]


def test_all_problems_are_reported_at_once(tmp_path):
    text = (
        SOUND.replace("target: score", "trget: score")
        + "loss: {kind: huber}\nfinetune: {epochs: 0}\n"
    )
    found = problems(write(tmp_path, text))
    assert len(found) == 4
    assert any("data.target: missing" in line for line in found)
    assert any("data.trget: unknown key; did you mean target?" in line for line in found)
    assert any("loss.kind" in line and "'huber'" in line for line in found)
    assert any("finetune.epochs" in line for line in found)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.bounds=[9, 1]", "the first must be below the second"),
        ("backbones.0.layers=[logits]", "frozen: true"),
        ("run.name=../../etc", "run.name"),
        ("run.name=a/b", "run.name"),
        ("backbones=[]", "backbones"),
        ("backbones.5.name=b", "no place backbones.5.name"),
        ("run.name.x=1", "no place run.name.x"),
        ("nonsense", "expected key=value"),
        ("folds.n=[", "--set"),
        ("heads.svr.C=-1", "heads.svr.C"),
        ("finetune.crop_scale=[0.6, 0.0]", "crop_scale: [0.6, 0] is no range of shares"),
        ("finetune.crop_scale=[0.5, .nan]", "crop_scale: [0.5, nan] is no range of shares"),
        ("finetune.crop_scale=[0.5, 1.5]", "crop_scale: [0.5, 1.5] is no range of shares"),
    ],
)
def test_a_wrong_override_says_where(tmp_path, override, words):
    assert words in "\n".join(problems(write(tmp_path, SOUND), [override]))


def test_names_of_backbones_differ(tmp_path):
    twice = "{name: a, model: m}, {name: a, model: m}"
    text = SOUND.replace("{name: a, model: swin_tiny_patch4_window7_224}", twice)
    assert "must differ" in problems(write(tmp_path, text))[0]


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "just text", "\x00", "a: &x [*x]"])
def test_a_file_that_is_no_config_is_one_error(tmp_path, text):
    problems(write(tmp_path, text))


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    assert "cannot be read" in problems(tmp_path / "none.yaml")[0]
    assert "cannot be read" in problems(tmp_path)[0]


def test_extends_merges_mappings_and_replaces_the_rest(tmp_path):
    write(tmp_path, SOUND + "heads: {svr: {C: 3}, ridge: {}}\n", "base.yaml")
    path = write(tmp_path, "extends: base.yaml\nheads: {svr: {epsilon: 1}, ridge: null}\n")
    config = load_config(path, ["folds.n=7"])
    assert (config.heads.svr.C, config.heads.svr.epsilon, config.heads.ridge) == (3, 1, None)
    assert config.folds.n == 7


def test_a_circle_of_extends_ends(tmp_path):
    write(tmp_path, "extends: b.yaml\n", "a.yaml")
    write(tmp_path, "extends: a.yaml\n", "b.yaml")
    assert "extends itself" in problems(tmp_path / "a.yaml")[0]


def test_every_key_is_documented():
    from paw_stack.config import Section

    for section in Section.__subclasses__():
        for name, field in section.model_fields.items():
            nested = isinstance(field.annotation, type) and issubclass(field.annotation, Section)
            if section.__name__ not in ("Config", "HeadsSection") and not nested:
                assert field.description, f"{section.__name__}.{name}"


def test_digest_tells_sections_apart(tmp_path):
    path = write(tmp_path, SOUND)
    config, other = load_config(path), load_config(path, ["finetune.epochs=9"])
    assert digest(config.finetune) != digest(other.finetune)
    assert digest(config.embed) == digest(other.embed)
