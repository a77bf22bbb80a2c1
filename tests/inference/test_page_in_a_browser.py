"""The page as its users meet it: dropped photos are scored without a button, on a phone too."""

import pytest
from helpers.browser import browsing, screen
from helpers.commands import served

pytestmark = [pytest.mark.extra, pytest.mark.slow]
LIMIT_S = 120  # for what takes seconds on an idle machine
SCORE = "[style*='2.6em']"


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    pytest.importorskip("gradio", reason="needs the extra app")
    with served(run) as (url, _), browsing(tmp_path_factory.mktemp("page")) as driver:
        screen(driver, 390)
        driver.get(url)
        until(driver, lambda: files(driver))
        yield driver


def until(driver, what):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, LIMIT_S).until(lambda _: what())


def seen(driver, selector: str) -> list:
    found = driver.find_elements("css selector", selector)
    return [one for one in found if one.is_displayed()]


def files(driver, kind: str = ":not([multiple])") -> list:
    return driver.find_elements("css selector", f"input[type=file]{kind}")


def width(driver) -> int:
    return driver.execute_script("return document.documentElement.scrollWidth")


def test_a_dropped_photo_is_scored_and_explained_in_panels_that_come_with_it(page, sample_folder):
    assert len(seen(page, ".examples img")) == 5
    assert "from 1 to 100" in page.find_element("tag name", "body").text
    assert not seen(page, SCORE)
    assert not seen(page, ".gallery, .image-container, [data-testid=detailed-image]")
    assert not [one for one in seen(page, "button") if one.text.startswith("Score")]
    photo = next((sample_folder / "test").iterdir())
    files(page)[0].send_keys(str(photo))
    until(page, lambda: seen(page, SCORE))
    assert photo.name in seen(page, ".preview")[0].text
    until(page, lambda: seen(page, "img[src*='map.png']"))
    assert 1 <= float(seen(page, SCORE)[0].text) <= 100
    assert width(page) <= 390


def test_several_photos_are_ranked_and_the_best_is_marked(page, sample_folder):
    photos = sorted((sample_folder / "test").iterdir())[:4]
    seen(page, "button[role=tab]")[-1].click()
    until(page, lambda: files(page, "[multiple]"))
    files(page, "[multiple]")[0].send_keys("\n".join(map(str, photos)))
    cards = until(page, lambda: seen(page, ".ranking li"))
    scores = [float(card.find_element("css selector", ".score").text) for card in cards]
    assert len(scores) == len(photos)
    assert scores == sorted(scores, reverse=True)
    assert ["best" in card.text for card in cards] == [True, False, False, False]
    names = {card.find_element("css selector", ".name").text for card in cards}
    assert names == {photo.name for photo in photos}
    assert width(page) <= 390
