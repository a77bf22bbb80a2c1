"""The report in a real browser."""

import pytest
from helpers.browser import show
from helpers.commands import CANDIDATES
from helpers.pages import CURVE, HOSTILE, changed, hostile

from paw_stack.report.page import CONTENTS, render

pytestmark = pytest.mark.extra
# Text nodes whose colour and ground have a contrast below 4.5, by WCAG 2's formulas.
FAINT = """
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const ground = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    layers.push(rgba(getComputedStyle(at).backgroundColor));
  }
  return layers.reduceRight((under, [r, g, b, a]) =>
    [r, g, b].map((v, i) => v * a / 255 + under[i] * (1 - a / 255)), [255, 255, 255]);
};
const light = (colour) => {
  const [r, g, b] = colour.map((v) => v / 255).map((v) =>
    v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const words = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
  const unseen = element.closest("script, title, desc") || !element.getClientRects().length;
  if (!words || unseen) continue;
  const style = getComputedStyle(element);
  const ink = rgba(element.closest("svg") ? style.fill : style.color).slice(0, 3);
  const [dark, bright] = [light(ink), light(ground(element))].sort((a, b) => a - b);
  const contrast = (bright + 0.05) / (dark + 0.05);
  if (contrast < 4.5) found.push(`${words}: ${contrast.toFixed(2)}`);
}
return found;
"""


@pytest.fixture(scope="module")
def html(record) -> str:
    """With a warning and a learning curve, so that every section is there."""
    told = {**record.blend, "optimistic": ["swin.nn"], "more_labels": CURVE}
    return render(changed(record, blend=told))


def column(browser, table: str, number: int) -> list[str]:
    return browser.execute_script(
        f"return [...document.querySelectorAll('#{table} tbody tr')]"
        f".map((row) => row.cells[{number}].textContent.trim())"
    )


def test_every_section_is_seen_and_the_console_is_silent(browser, html, tmp_path):
    show(browser, tmp_path, html)
    for name in CONTENTS:
        section = browser.find_element("id", name)
        assert section.is_displayed()
        assert section.size["height"] > 60
    assert browser.get_log("browser") == []
    loaded = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    assert all(name.startswith("data:") for name in browser.execute_script(loaded))
    broken = "return [...document.images].filter((image) => !image.naturalWidth).length"
    assert browser.execute_script(broken) == 0


def test_a_press_on_a_header_sorts_and_another_turns_round(browser, html, tmp_path):
    show(browser, tmp_path, html)
    header = browser.find_elements("css selector", "#candidates thead th")[1]
    header.find_element("tag name", "button").click()
    errors = [float(text) for text in column(browser, "candidates", 1)]
    assert errors == sorted(errors)
    assert len(errors) == len(CANDIDATES) + 1
    assert header.get_attribute("aria-sort") == "ascending"
    header.find_element("tag name", "button").click()
    assert [float(text) for text in column(browser, "candidates", 1)] == sorted(errors)[::-1]
    assert header.get_attribute("aria-sort") == "descending"


def test_the_keyboard_sorts_too_and_empty_cells_stay_last(browser, html, tmp_path):
    show(browser, tmp_path, html)
    button = browser.find_elements("css selector", "#candidates thead button")[7]
    button.send_keys("\ue007")  # Enter
    button.send_keys(" ")
    weights = column(browser, "candidates", 7)
    assert weights[-1] == ""  # the blend has no weight
    numbers = [float(text) for text in weights[:-1]]
    assert numbers == sorted(numbers, reverse=True)
    browser.find_elements("css selector", "#candidates thead button")[0].send_keys(" ")
    assert column(browser, "candidates", 0) == sorted(column(browser, "candidates", 0))


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(width, browser, html, tmp_path):
    show(browser, tmp_path, html, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    letters = browser.execute_script(
        "const svg = document.querySelector('#spread svg');"
        "return 11 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"
    )
    assert letters > 8  # pixels


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_every_word_can_be_read(colours, browser, html, tmp_path):
    show(browser, tmp_path, html, 1280, colours)
    assert browser.execute_script(FAINT) == []


def test_the_colours_follow_the_system(browser, html, tmp_path):
    grounds = []
    for colours in ("light", "dark"):
        show(browser, tmp_path, html, 1280, colours)
        ground = "return getComputedStyle(document.body).backgroundColor"
        grounds.append(browser.execute_script(ground))
    assert grounds[0] != grounds[1]


def test_a_hostile_name_stays_text_and_no_script_of_its_runs(browser, record, tmp_path):
    html = render(hostile(record))
    show(browser, tmp_path, html)
    assert browser.get_log("browser") == []  # an alert would have raised before
    assert browser.find_element("tag name", "h1").text == HOSTILE
    assert HOSTILE in column(browser, "candidates", 0)
    # What if it had not been escaped? The policy stands behind.
    show(browser, tmp_path, html.replace("<footer>", "<footer><script>window.hit = 1</script>"))
    assert browser.execute_script("return window.hit") is None
