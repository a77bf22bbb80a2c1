"""`paw-stack schema`: the JSON schema of the config, for editors."""

import json
from pathlib import Path

from paw_stack.atomic import write_file
from paw_stack.config.schema import config_schema
from paw_stack.console import say


def schema(out: Path | None = None) -> None:
    """Print it, or write it to `out`."""
    text = json.dumps(config_schema(), indent=2) + "\n"
    if out is None:
        say(text.rstrip())
        return
    write_file(out, lambda path: path.write_text(text, encoding="utf-8"))
    say(
        f"wrote {out}; the first line of a config may say"
        f" '# yaml-language-server: $schema={out.name}'"
    )
