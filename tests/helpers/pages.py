"""A report read back, and the record of a run that is full of hostile names."""

from dataclasses import replace
from html.parser import HTMLParser

from paw_stack.data.types import RunRecord

HOSTILE = "<script>alert(1)</script>\"'&amp;{{ 7 * 7 }}.jpg"


class Page(HTMLParser):
    """Tags with their attributes, and the text of the page."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def hostile(record: RunRecord) -> RunRecord:
    """The same run, whose first photo, first candidate and config are called names."""
    first = record.labelled["Id"].iloc[0]
    name = next(iter(record.blend["weights"]))

    def renamed(fact):
        if isinstance(fact, dict):
            return {HOSTILE if k == name else k: renamed(v) for k, v in fact.items()}
        return [renamed(v) for v in fact] if isinstance(fact, list) else fact

    # A sheet shows twelve of each kind; of 42 photos the largest error is among them.
    target = record.labelled["target"].where(record.labelled["Id"] != first, 1000.0)
    return replace(
        record,
        name=HOSTILE,
        config={**record.config, "note": HOSTILE},
        labelled=record.labelled.assign(target=target).replace({"Id": {first: HOSTILE}}),
        picture=lambda kind, name: record.picture(kind, first if name == HOSTILE else name),
        oof=record.oof.rename(columns={name: HOSTILE}),
        test=record.test.rename(columns={name: HOSTILE}),
        blend=renamed(record.blend),
    )
