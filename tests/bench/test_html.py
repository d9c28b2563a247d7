"""The page: whole, escaped, and in need of nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from ensemblegen.bench.html import page
from ensemblegen.bench.points import Point
from ensemblegen.bench.report import Lane, Measurement, Report
from ensemblegen.bench.windows import Window
from tests.bench.reports import EVIL, report

_VOID = ("meta", "br")


class Parsed(HTMLParser):
    """Elements that are open, and how often each was."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_element_is_closed_and_every_plot_is_xml() -> None:
    text = page(report(failing=True))
    assert Parsed(text).open == []
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) == 2 + 4 * 2
    for plot in plots:
        ElementTree.fromstring(plot)  # noqa: S314 - our own


def test_what_people_wrote_is_text() -> None:
    found = Parsed(page(report(EVIL, failing=True)))
    assert "script" not in found.seen
    assert f"boom {EVIL}" in found.text
    assert f"ensemblegen bench {EVIL}" in found.text


def test_nothing_comes_from_elsewhere() -> None:
    text = page(report())
    assert Parsed(text).links == []
    assert "url(" not in text
    assert "@import" not in text


def test_what_failed_is_said() -> None:
    assert "requests failed" not in page(report())
    assert "9 requests failed: boom" in Parsed(page(report(failing=True))).text


def test_without_an_answer_there_is_a_page_all_the_same() -> None:
    nothing = Window(1.0, (), {"no": 4})
    lane = Lane("lane", stable=False, windows=(nothing,), kept=nothing)
    whole = report()
    measured = Measurement(Point(1, rate=50.0), (lane,))
    found = Parsed(page(Report(whole.head, whole.subjects[:1], (measured,))))
    assert "4 requests failed: no" in found.text
    assert "svg" not in found.seen


def test_the_critical_step_is_framed_and_the_other_is_not() -> None:
    (first, *_) = re.findall(r"<svg[^>]*waterfall of lane.*?</svg>", page(report()), re.DOTALL)
    assert first.count('class="critical"') == 1
    assert first.count('class="slack"') == 1
    assert "step infer: 6.000 ms" in first
