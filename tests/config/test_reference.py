"""configs/reference.yaml shows every key with its default, and loads as the defaults."""

import re

import yaml
from helpers.commands import call
from helpers.places import ROOT

from paw_stack.config import load_config, make_config
from paw_stack.config.reference import reference
from paw_stack.config.schema import config_schema

SHIPPED = ROOT / "configs" / "reference.yaml"
REQUIRED = {
    "run": {"name": "reference"},
    "data": {"root": "shelter", "target": "appeal", "bounds": [1, 100]},
    "backbones": [{"name": "swin", "model": "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k"}],
}


def keys_of_schema(schema, defs):
    """Dotted paths of all keys; those of a list's items as if there were no list."""
    for option in (schema, *schema.get("anyOf", []), schema.get("items", {})):
        if "$ref" in option:
            schema = defs[option["$ref"].rsplit("/", 1)[-1]]
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from (f"{name}.{key}" for key in keys_of_schema(inner, defs))


def keys_of(node):
    node = node[0] if isinstance(node, list) and node else node
    for name, inner in node.items() if isinstance(node, dict) else ():
        yield name
        yield from (f"{name}.{key}" for key in keys_of(inner))


def with_optional_sections():
    """The text with the marks taken away from keys that are off; of equal keys the last counts."""
    return re.sub(r"^( *)#(?=\S|  )", r"\1", SHIPPED.read_text(), flags=re.MULTILINE)


def test_the_shipped_reference_is_what_the_config_says(tmp_path):
    """To renew it: paw-stack schema --reference --out configs/reference.yaml"""
    assert SHIPPED.read_text() == reference()
    call("schema", "--reference", "--out", tmp_path / "reference.yaml")
    assert (tmp_path / "reference.yaml").read_bytes() == SHIPPED.read_bytes()


def test_it_loads_as_the_defaults():
    assert load_config(SHIPPED) == make_config(REQUIRED)


def test_every_key_stands_in_it_also_those_of_sections_that_are_off():
    schema = config_schema()
    known = {*keys_of_schema(schema, schema["$defs"])} - {"extends"}
    assert {*keys_of(yaml.safe_load(with_optional_sections()))} == known
    assert "extra.gan.latent" in known and "heads.svr.grid.C" in known


def test_every_key_says_what_it_means():
    schema = config_schema()
    sections = {"Config": schema, **schema["$defs"]}
    keys = [(name, *key) for name, section in sections.items() for key in _properties(section)]
    assert [f"{name}.{key}" for name, key, inner in keys if not inner.get("description")] == []


def _properties(section):
    return section.get("properties", {}).items()
