"""The config as a JSON schema: an editor completes keys, shows what they mean and marks errors."""

from typing import Any

from paw_stack.config.loading import Config

EXTENDS = {
    "type": "string",
    "description": "another config that this one starts from, relative to this file",
}


def config_schema() -> dict[str, Any]:
    """Of a file: no key is required, since it may start from another one."""
    schema = Config.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        section.pop("required", None)
    schema["properties"] = {"extends": EXTENDS, **schema["properties"]}
    address = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": address, **schema, "title": "A run of paw-stack"}
