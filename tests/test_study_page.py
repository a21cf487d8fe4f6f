"""The study's page in a real browser: voting, a reload in the middle, a phone, balance, blindness."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from browser import SCREENSHOTS, chromium, needs_chromium, watch

from comparetoys import comparison
from dmap.compare import results, study, votes
from dmap.compare.folder import Folder

__all__ = ["chromium"]
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, study.Study]:
    folder = tmp_path_factory.mktemp("comparison") / "toys"
    comparison(folder, count=2).run()
    out = folder / "study"
    return out, study.make(results.load(Folder(folder)), Folder(folder), out, 6, 2, 2, "debiased", seed=3)


def open_page(chromium: Any, out: Path, **options: Any) -> tuple[Any, list[str]]:
    page = chromium.new_context(**options).new_page()
    faults = watch(page)
    page.goto((out / study.PAGE).as_uri())
    return page, faults


def begin(page: Any, code: str) -> None:
    page.get_by_label("Your code").fill(code)
    page.get_by_role("button", name="Begin").click()
    ready(page)


def ready(page: Any, look: int = 0) -> None:
    """Wait until the trial's images are on the screen, and were for so many milliseconds."""
    page.wait_for_function("look => ready && performance.now() - shownAt > look", arg=look)


def test_the_page_is_blind_and_loads_nothing(made: tuple[Path, study.Study]) -> None:
    text = (made[0] / study.PAGE).read_text(encoding="utf-8")
    data = text.split('id="data">')[1].split("</script>")[0]
    for word in ("smooth", "spoiled", "catch", "repeat", "photo 0"):
        assert word not in data
    assert not any(word in text for word in ("http://", "https://", "import("))
    assert "default-src 'none'" in text


def test_a_whole_study_with_a_reload_in_the_middle(
    chromium: Any, made: tuple[Path, study.Study], tmp_path: Path
) -> None:
    out, key = made
    page, faults = open_page(chromium, out, viewport={"width": 1280, "height": 800}, accept_downloads=True)
    begin(page, "observer-1")
    assert page.locator("#count").inner_text() == "1 of 10"
    page.screenshot(path=SCREENSHOTS / "study_desktop.png")

    page.keyboard.press("f")
    first = page.locator("#flickered").get_attribute("src")
    page.keyboard.press(" ")
    assert page.locator("#shown").inner_text() == "Right"
    assert page.locator("#flickered").get_attribute("src") != first
    page.keyboard.press("i")
    assert page.locator("#shown").inner_text() == "The photograph"
    page.keyboard.press("f")
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert "scale(4)" in page.locator("#left img").get_attribute("style")
    assert "scale(4)" in page.locator("#right img").get_attribute("style")
    page.keyboard.press("0")

    for choice in ("1", "2", "1"):
        ready(page, votes.QUICKEST)
        trial = page.evaluate("current()")
        known = next(one for one in key.trials if one.id == trial["id"])
        if known.kind == "catch":  # answered right, as below
            choice = "1" if trial["left"] == known.a else "2"
        page.keyboard.press(choice)
    page.keyboard.press("Backspace")
    assert page.locator("#count").inner_text() == "3 of 10"
    before = page.evaluate("[current().id, current().left]")

    page.reload()
    page.get_by_role("button", name="Go on as observer-1 (2 answered)").click()
    assert page.locator("#count").inner_text() == "3 of 10"
    assert page.evaluate("[current().id, current().left]") == before
    while page.locator("#trial").is_visible():
        ready(page, votes.QUICKEST)
        # Catch trials are answered right, so that the file is accepted.
        trial = page.evaluate("current()")
        known = next(one for one in key.trials if one.id == trial["id"])
        better = known.a if known.kind == "catch" else trial["left"]
        page.locator("#choose-left" if trial["left"] == better else "#choose-right").click()
    with page.expect_download() as download:
        page.locator("#save").click()
    file = tmp_path / "votes.json"
    download.value.save_as(file)
    assert not faults, faults
    observers, problems = votes.read([file], key)
    assert not [problem for problem in problems if not problem.used], problems
    (observer,) = observers
    assert (observer.name, len(observer.votes), observer.catches) == ("observer-1", 6, (2, 2))
    assert json.loads(page.locator("#text").input_value())["votes"] == json.loads(file.read_text())["votes"]


def test_on_a_phone(chromium: Any, made: tuple[Path, study.Study]) -> None:
    page, faults = open_page(chromium, made[0], viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    page.screenshot(path=SCREENSHOTS / "study_phone_start.png")
    begin(page, "phone")
    page.screenshot(path=SCREENSHOTS / "study_phone.png")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    answer = page.locator("#choose-right")
    box = answer.bounding_box()
    assert box["height"] >= 44
    assert box["y"] + box["height"] <= 780, "the answers are below the fold"
    page.locator("#flicker").tap()
    page.locator("#flicker-input").tap()
    page.locator("#shown", has_text="The photograph").wait_for()
    page.locator("#single .pane").tap()
    page.locator("#shown", has_text="Left").wait_for()
    page.locator("#single .pane").tap()
    page.locator("#shown", has_text="Right").wait_for()  # a touch becomes a click a little later
    page.screenshot(path=SCREENSHOTS / "study_phone_flicker.png")
    pinch(page, page.locator("#single .pane").bounding_box())
    assert page.evaluate("single.scale") > 1.5
    assert page.locator("#shown").inner_text() == "Right", "two fingers are no tap"
    for _ in range(20):  # a busy browser may take a tap for the rest of the pinch
        answer.tap()
        page.wait_for_timeout(500)
        if page.evaluate("state.votes.length"):
            break
    assert page.evaluate("state.votes[0].choice") == "right"
    assert not faults, faults


def pinch(page: Any, box: dict[str, float]) -> None:
    """Two fingers on the pane, drawn apart to twice the distance."""
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 80), ("touchEnd", None)):
        points = [] if apart is None else [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_nothing_is_answered_before_it_is_seen(chromium: Any, made: tuple[Path, study.Study]) -> None:
    """While the images are being decoded no answer is taken; a zoom made meanwhile stays."""
    page, _ = open_page(chromium, made[0])
    page.evaluate("() => { HTMLImageElement.prototype.decode = () => new Promise(() => {}); }")
    page.get_by_label("Your code").fill("eager")
    page.keyboard.press("Enter")
    page.locator("#trial[aria-busy=true]").wait_for()
    page.keyboard.press("1")
    page.keyboard.press("+")
    assert page.evaluate("state.votes.length") == 0
    assert page.evaluate("three.scale") == 2


def test_several_people_in_one_browser_and_one_in_two_tabs(chromium: Any, made: tuple[Path, study.Study]) -> None:
    """Nobody's answers are lost: each code has its own, and a code that has begun goes on."""
    page, faults = open_page(chromium, made[0])
    begin(page, "ann")
    page.keyboard.press("1")
    page.locator("#count", has_text="2 of 10").wait_for()
    page.reload()
    begin(page, "bob")
    assert page.locator("#count").inner_text() == "1 of 10"
    other = page.context.new_page()
    other.goto((made[0] / study.PAGE).as_uri())
    begin(other, "bob")
    page.keyboard.press("2")
    other.locator("#count", has_text="2 of 10").wait_for()
    assert other.evaluate("state.votes") == page.evaluate("state.votes")
    page.reload()
    assert page.locator(".resume").all_inner_texts()[0].startswith("Go on as ann (1 answered)")
    begin(page, "ann")
    assert page.locator("#count").inner_text() == "2 of 10"
    assert not faults, faults


def test_answers_kept_by_a_browser_that_do_not_fit_are_not_taken(chromium: Any, made: tuple[Path, study.Study]) -> None:
    page, faults = open_page(chromium, made[0])
    begin(page, "odd")
    page.keyboard.press("1")
    page.locator("#count", has_text="2 of 10").wait_for()
    kept = (
        "localStorage.setItem(STORE + 'odd', JSON.stringify({...state, votes: [...state.votes, {trial: 'x'}, null]}))"
    )
    for content, count in ((kept, "2 of 10"), ("localStorage.setItem(STORE + 'odd', '{')", "1 of 10")):
        page.evaluate(content)
        page.reload()
        begin(page, "odd")
        assert page.locator("#count").inner_text() == count
    assert not faults, faults


def test_a_pair_asked_twice_has_its_sides_swapped(chromium: Any, made: tuple[Path, study.Study]) -> None:
    page, _ = open_page(chromium, made[0])
    twice = [
        (one.id, other.id)
        for one in made[1].trials
        for other in made[1].trials
        if (one.kind, other.kind) == ("pair", "repeat") and {one.a, one.b} == {other.a, other.b}
    ]
    assert len(twice) == 2
    for number in range(20):
        left = {trial["id"]: trial["left"] for trial in page.evaluate("name => arrange(name)", f"o{number}")}
        assert all(left[one] != left[other] for one, other in twice)


def test_orders_and_sides_are_random_but_balanced(chromium: Any, made: tuple[Path, study.Study]) -> None:
    page, _ = open_page(chromium, made[0])
    models = {image: model for one in made[1].trials for image, model in ((one.a, one.model_a), (one.b, one.model_b))}
    observers = [page.evaluate("name => arrange(name)", f"o{number}") for number in range(40)]
    assert page.evaluate("name => arrange(name)", "o7") == observers[7]
    assert len({tuple(trial["id"] for trial in trials) for trials in observers}) > 35
    for trials in observers:
        sides: dict[int, Counter[str]] = {}
        for trial in trials:
            sides.setdefault(trial["group"], Counter()).update({models[trial["left"]]: 1, models[trial["right"]]: -1})
        assert all(abs(count) <= 1 for group in sides.values() for count in group.values())
    first = Counter(trials[0]["id"] for trials in observers)
    assert max(first.values()) < 15
    left = [trial["left"] == trial["a"] for trials in observers for trial in trials]
    assert 0.4 < sum(left) / len(left) < 0.6


def test_every_part_of_a_session_holds_as_many_of_each(chromium: Any, made: tuple[Path, study.Study]) -> None:
    """Models meet as often early as late, when people tire; catch trials are not all at the end."""
    page, _ = open_page(chromium, made[0])
    sizes = {0: 8, 1: 8, 2: 8, 9: 4}  # the last are catch trials
    trials = [
        {"id": f"{group}-{number}", "group": group, "input": f"p{number}", "a": f"a{group}{number}", "b": "b"}
        for group, size in sizes.items()
        for number in range(size)
    ]
    page.evaluate("trials => { DATA.trials = trials; }", trials)
    for number in range(10):
        groups = [trial["group"] for trial in page.evaluate("name => arrange(name)", f"o{number}")]
        quarters = [Counter(groups[start : start + 7]) for start in range(0, 28, 7)]
        assert all(quarter == {group: size // 4 for group, size in sizes.items()} for quarter in quarters)

    again = [{**trial, "id": f"again {trial['id']}"} for trial in trials[::7]]
    page.evaluate("trials => { DATA.trials = trials; }", [*trials, *again])
    for number in range(10):
        place = {trial["id"]: at for at, trial in enumerate(page.evaluate("name => arrange(name)", f"o{number}"))}
        assert all(abs(place[one["id"]] - place[one["id"].removeprefix("again ")]) > 4 for one in again)


def test_the_checksum_is_python_s(chromium: Any, made: tuple[Path, study.Study]) -> None:
    page, _ = open_page(chromium, made[0])
    for text in ("", "a", "study|observer|ü\u4e2d,left;"):
        assert page.evaluate("text => fnv1a(text)", text) == votes.checksum(text)


def test_consent_practice_ties_rests_and_whole_pixels(chromium: Any, tmp_path: Path) -> None:
    """All that a study can ask for at once; the answers are read as they were given."""
    comparison(tmp_path / "toys", count=2).run()
    folder, out = Folder(tmp_path / "toys"), tmp_path / "study"
    asking = study.Asking("Which has the truer <colours>?", "You take part freely.", practice=2, ties=True, breaks=4)
    key = study.make(results.load(folder), folder, out, 6, 6, 0, "debiased", 3, asking)
    page, faults = open_page(chromium, out, viewport={"width": 1280, "height": 800})
    page.get_by_label("Your code").fill("ann")
    page.get_by_role("button", name="Begin").click()
    assert page.locator("#start").is_visible(), "begun without consent"
    page.locator("#agreed").check()
    page.get_by_role("button", name="Begin").click()
    ready(page)
    assert page.locator("#question").inner_text() == "Which has the truer <colours>?"
    page.screenshot(path=SCREENSHOTS / "study_options.png")
    for number in (1, 2):
        assert page.locator("#count").inner_text() == f"Practice {number} of 2, does not count"
        page.keyboard.press("1")
        ready(page)
    assert page.locator("#count").inner_text() == "1 of 12"
    width = page.evaluate("document.querySelector('#left img').getBoundingClientRect().width")
    assert width % 48 == 0, "an image pixel is no whole number of the screen's"
    assert f"Each pixel shown as {width / 48:.0f} by {width / 48:.0f}" in page.locator("#scale").inner_text()
    good = {trial.a for trial in key.trials if trial.kind == "catch"}
    rests = 0
    while not page.locator("#end").is_visible():
        if page.locator("#rest").is_visible():
            rests += 1
            page.get_by_role("button", name="Go on").click()
        ready(page, votes.QUICKEST)
        left, right = page.evaluate("[current().left, current().right]")
        page.keyboard.press("1" if left in good else "2" if right in good else "3")
        page.wait_for_timeout(50)
    assert rests == 2
    (tmp_path / "ann.json").write_text(page.locator("#text").input_value(), encoding="utf-8")
    (observer,), _ = votes.read([tmp_path / "ann.json"], key)
    assert len(observer.votes) == 6
    assert all(vote.tie for vote in observer.votes)
    assert observer.catches == (6, 6)
    assert json.loads((tmp_path / "ann.json").read_text(encoding="utf-8"))["consent"] is True
    strict = study.make(results.load(folder), folder, tmp_path / "strict", 6, 0, 0, "debiased", 3)
    assert not strict.ties
    assert not faults, faults
