"""Whoever reads a report of many candidates: on a phone, by the keyboard, by ear, on paper."""

import pytest
from helpers.browser import screen, show
from helpers.crowds import crowded

from paw_stack.report.page import render

pytestmark = pytest.mark.extra
OPEN = "for (const one of document.querySelectorAll('details')) one.open = true"
# What stands out of its own box to the right and cannot be scrolled to.
CUT = """
const scrolled = (element) => {
  for (let at = element.parentElement; at; at = at.parentElement) {
    if (['auto', 'scroll'].includes(getComputedStyle(at).overflowX)) return true;
  }
  return false;
};
return [...document.querySelectorAll('main td, main th, main text, main p, main li, main h3')]
  .filter((one) => one.getClientRects().length && !scrolled(one))
  .filter((one) => one.getBoundingClientRect().right > innerWidth
    || one.getBoundingClientRect().right > one.closest('section').getBoundingClientRect().right)
  .map((one) => one.textContent);
"""
FOCUSED = """
const at = document.activeElement, style = getComputedStyle(at);
return [at.tagName, at.className, at.getAttribute('aria-label') || at.textContent.trim(),
        parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== 'none'];
"""


@pytest.fixture(scope="module")
def html(record) -> str:
    return render(crowded(record))


def complaints(browser) -> list[str]:
    """What axe-core finds against WCAG 2.1 AA and its best practices."""
    axe = pytest.importorskip("axe_core_python.selenium", reason="needs axe-core-python")
    browser.set_script_timeout(300)
    found = axe.Axe().run(browser)
    assert found["passes"]
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "colours"), [(390, "light"), (1280, "dark")])
def test_axe_core_has_nothing_to_complain_of(width, colours, browser, html, tmp_path):
    show(browser, tmp_path, html, width, colours)
    browser.execute_script(OPEN)
    assert complaints(browser) == []


@pytest.mark.slow
def test_axe_core_sees_faint_words_and_boxes_that_no_key_reaches(browser, record, tmp_path):
    html = render(record)
    spoilt = html.replace("--muted: #5f5a53", "--muted: #b8b4ae").replace(' tabindex="0"', "")
    spoilt = spoilt.replace("thead button", "thead b")
    show(browser, tmp_path, spoilt, 390)
    found = {complaint.split(":")[0] for complaint in complaints(browser)}
    assert {"color-contrast", "scrollable-region-focusable"} <= found


@pytest.mark.parametrize("width", [320, 390, 760, 1100, 1280])
def test_nothing_is_cut_with_all_unfolded(width, browser, html, tmp_path):
    show(browser, tmp_path, html, width)
    browser.execute_script(OPEN)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(CUT) == []


def test_the_names_stay_where_a_table_is_scrolled(browser, html, tmp_path):
    show(browser, tmp_path, html, 390)
    box = browser.find_element("css selector", "#candidates .scroll")
    name = box.find_element("css selector", "tbody th")
    before = name.location["x"]
    browser.execute_script("arguments[0].scrollLeft = 400", box)
    assert browser.execute_script("return arguments[0].scrollLeft", box) > 100
    assert abs(name.location["x"] - before) < 20
    assert name.size["width"] < 0.5 * 390  # and leave room for the figures


def test_the_tab_key_reaches_all_that_can_be_pressed_or_scrolled(browser, html, tmp_path):
    show(browser, tmp_path, html)
    body = browser.find_element("tag name", "body")
    reached = []
    while True:
        body.parent.switch_to.active_element.send_keys("\ue004")  # Tab
        tag, kind, words, outlined = browser.execute_script(FOCUSED)
        if tag == "BODY":
            break
        assert outlined, (tag, words)
        reached.append((tag, kind, words))
        assert len(reached) < 500
    tags = [tag for tag, *_ in reached]
    for tag, those in (("A", "nav a"), ("SUMMARY", "summary")):
        seen = [one for one in browser.find_elements("css selector", those) if one.is_displayed()]
        assert tags.count(tag) == len(seen) > 3
    labels = [words for tag, kind, words in reached if kind == "scroll"]
    assert "Table of candidates" in labels
    assert "The blend against other ways" in labels


def test_a_key_unfolds_what_is_folded(browser, html, tmp_path):
    show(browser, tmp_path, html)
    summary = browser.find_element("css selector", "#spread summary")
    charts = "return [...document.querySelectorAll('#spread svg')]"
    charts += ".filter((one) => one.checkVisibility({contentVisibilityAuto: true})).length"
    assert browser.execute_script(charts) == 5
    summary.send_keys("\ue007")  # Enter
    assert browser.execute_script(charts) == 38


def test_paper_shows_all_that_is_folded_in_dark_letters(browser, html, tmp_path):
    show(browser, tmp_path, html, 794, "dark")
    screen(browser, 794, "dark", "print")
    heights = "return [...document.querySelectorAll('details')]"
    heights += ".map((one) => one.getBoundingClientRect().height)"
    assert all(height > 40 for height in browser.execute_script(heights))
    ink = "return getComputedStyle(document.body).color"
    assert browser.execute_script(ink) == "rgb(32, 30, 27)"
    assert not browser.find_element("tag name", "nav").is_displayed()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 794
