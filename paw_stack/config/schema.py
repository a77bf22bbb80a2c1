"""`paw-stack schema`: the JSON schema of the config, by which an editor completes keys, shows what
they mean and marks errors; or a config of all keys, to read.
"""

import json
from pathlib import Path
from typing import Any

from paw_stack.atomic import write_file
from paw_stack.config.loading import Config
from paw_stack.config.reference import reference
from paw_stack.config.targets import BY_TARGET
from paw_stack.console import say

EXTENDS = {
    "type": "string",
    "description": "another config that this one starts from, relative to this file",
}


def config_schema() -> dict[str, Any]:
    """JSON schema of a config file: no key is required, since it may start from another one."""
    schema = Config.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        section.pop("required", None)
    data = schema["$defs"]["DataSection"]["properties"]
    data["target"] |= {"type": ["string", "array"], "items": {"type": "string"}, "minItems": 2}
    for key in BY_TARGET:
        data[key].setdefault("anyOf", []).append({"type": "object"})
    schema["properties"] = {"extends": EXTENDS, **schema["properties"]}
    address = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": address, **schema, "title": "A run of paw-stack"}


def schema(out: Path | None = None, as_reference: bool = False) -> None:
    """Print it, or the config of all keys, or write it to `out`."""
    text = reference() if as_reference else json.dumps(config_schema(), indent=2) + "\n"
    if out is None:
        say(text.rstrip())
        return
    write_file(out, lambda path: path.write_text(text, encoding="utf-8"))
    first = f"'# yaml-language-server: $schema={out.name}'"
    hint = "" if as_reference else f"; the first line of a config may say {first}"
    say(f"wrote {out}{hint}")
