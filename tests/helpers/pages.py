"""A report read back, and runs that hold other facts or hostile names."""

from dataclasses import replace
from html.parser import HTMLParser

from paw_stack.artifacts.finished.model import FinishedRun

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


def changed(run: FinishedRun, **facts: object) -> FinishedRun:
    """The same run, of which these are told in place of what its folder holds."""
    other = replace(run)
    vars(other).update(facts)
    return other


def hostile(record: FinishedRun) -> FinishedRun:
    """The same run, whose first photo, first candidate and config are called names."""
    first = record.labelled["Id"].iloc[0]
    name = next(iter(record.blend["weights"]))

    def renamed(fact):
        if isinstance(fact, dict):
            return {HOSTILE if k == name else k: renamed(v) for k, v in fact.items()}
        return [renamed(v) for v in fact] if isinstance(fact, list) else fact

    # A sheet shows twelve of each kind; of 42 photos the largest error is among them.
    target = record.labelled["target"].where(record.labelled["Id"] != first, 1000.0)
    section = record.config.run.model_copy(update={"name": HOSTILE})
    return changed(
        record,
        name=HOSTILE,
        config=record.config.model_copy(update={"run": section}),
        labelled=record.labelled.assign(target=target).replace({"Id": {first: HOSTILE}}),
        pictures=lambda kind, name: record.pictures(kind, first if name == HOSTILE else name),
        oof=record.oof.rename(columns={name: HOSTILE}),
        test=record.test.rename(columns={name: HOSTILE}),
        blend=renamed(record.blend),
        steps=record.steps,
        folds=record.folds,
        sample=record.sample,
    )
