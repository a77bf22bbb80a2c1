"""The schema for editors is the config's, and knows every key of the shipped files."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from helpers.commands import call
from helpers.places import ROOT

from paw_stack.cli import app
from paw_stack.config.schema import config_schema

CONFIGS = ROOT / "configs"


def unknown_keys(node, schema, defs, path=""):
    """Keys of a config that the schema has no place for."""
    while "$ref" in schema:
        schema = defs[schema["$ref"].rsplit("/", 1)[-1]]
    if options := [s for s in schema.get("anyOf", []) if s.get("type") != "null"]:
        return min((unknown_keys(node, option, defs, path) for option in options), key=len)
    if isinstance(node, list) and "items" in schema:
        return [key for item in node for key in unknown_keys(item, schema["items"], defs, path)]
    if not isinstance(node, dict) or "properties" not in schema:
        return []
    known = schema["properties"]
    found = [f"{path}{key}" for key in node if key not in known]
    for key in set(node) & set(known):
        found += unknown_keys(node[key], known[key], defs, f"{path}{key}.")
    return found


def test_the_shipped_schema_is_the_configs(tmp_path, capsys):
    """To renew it: paw-stack schema --out configs/schema.json"""
    assert json.loads((CONFIGS / "schema.json").read_text()) == config_schema()
    call("schema", "--out", tmp_path / "schema.json")
    assert (tmp_path / "schema.json").read_bytes() == (CONFIGS / "schema.json").read_bytes()
    capsys.readouterr()
    call("schema")
    assert json.loads(capsys.readouterr().out) == config_schema()


OF_RUNS = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "studies")


@pytest.mark.parametrize("path", OF_RUNS, ids=lambda path: path.stem)
def test_the_schema_knows_every_key_of_a_shipped_config(path):
    schema = config_schema()
    assert unknown_keys(yaml.safe_load(path.read_text()), schema, schema["$defs"]) == []


def test_it_marks_a_wrong_key_and_tells_what_a_key_means():
    schema = config_schema()
    wrong = {"finetune": {"epoch": 3}, "backbones": [{"nam": "x"}], "heads": {"svr": {"c": 1}}}
    found = unknown_keys(wrong, schema, schema["$defs"])
    assert sorted(found) == ["backbones.nam", "finetune.epoch", "heads.svr.c"]
    assert schema["$defs"]["FinetuneSection"]["additionalProperties"] is False
    assert "pixels" in schema["$defs"]["BackboneSection"]["properties"]["image_size"]["description"]


def test_a_shell_completes_commands():
    environment = {**os.environ, "_PAW_STACK_COMPLETE": "complete_bash"}
    environment |= {"COMP_WORDS": "paw-stack show", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['paw-stack']; from paw_stack.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["show-augment"]


@pytest.mark.parametrize("command", app.registered_commands, ids=lambda c: c.callback.__name__)
def test_the_help_of_every_command_holds_an_example(command):
    name = command.name or command.callback.__name__
    assert f"paw-stack {name} " in command.callback.__doc__ + " "
