"""A report read back, and runs that hold other facts or hostile names."""

from dataclasses import replace
from html.parser import HTMLParser

from paw_stack.artifacts.finished.model import FinishedRun

HOSTILE = "<script>alert(1)</script>\"'&amp;{{ 7 * 7 }}.jpg"

# A learning curve as blend.json has it: of a run with frozen networks.
CURVE = {
    "layers": ["swin", "wide"],
    "sizes": [40.0, 80.0, 160.0],
    "rmse": [19.0, 17.5, 16.5],
    "law": {"a": 220.0, "b": 52.0, "m": 0.1, "c": 0.75},
    "line": {
        "size": [40.0, 160.0, 320.0],
        "rmse": [19.0, 16.5, 15.8],
        "low": [18.6, 16.0, 14.9],
        "high": [19.4, 17.0, 16.7],
    },
    "now": {"size": 160, "rmse": 16.1},
    "twice": {"size": 320, "rmse": 15.4, "low": 14.2, "high": 16.6},
    "floor": 11.0,
}


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
        suspicious=record.suspicious.replace({"Id": {first: HOSTILE}}),
    )
