"""The page of a report: complete, escaped, without the network; and in a browser, where there is one, it sorts."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from aoide.plots import report as pages

EVIL = '<script>alert("x")</script>&\'"'
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def report(count: int = 12) -> dict[str, Any]:
    """Two systems; the first file has a name that would break a page that does not escape."""
    metric = {"unit": "dB", "better": "lower", "best": 0.0, "kind": "pair", "about": EVIL, "options": {}, "of": ""}
    cell = {"value": 3.0, "low": 2.0, "high": 4.0, "median": 3.0, "n": count, "nan": 0, "failed": 0}
    files = []
    for system in ("(reference)", "ours", "theirs"):
        for i in range(count):
            values = {} if system == "(reference)" else {"mcd": float(i), "pesq": None if i == 3 else 4.0 - i / 10}
            name = EVIL if i == 0 else f"s{i}"
            row = {"name": name, "system": system, "path": f"{system}/{name}.wav", "seconds": 1.0, "values": values}
            files.append(row | {"picture": f"pictures/{i}.png", "text": EVIL, "transcript": EVIL})
    return {
        "aoide": "0", "made": "today", "like": None, "align": "time", "reference": "recordings", "pairs": count,
        "systems": ["ours", "theirs"],
        "metrics": [{"name": "mcd", **metric}, {"name": "pesq", **metric, "better": "higher"}],
        "summary": {
            "mcd": {"ours": cell, "theirs": cell | {"value": 5.0, "nan": 2, "failed": 1}},
            "pesq": {"(reference)": cell | {"low": None, "high": None}, "ours": cell},
        },
        "tests": [
            {"metric": "mcd", "first": "ours", "second": "theirs", "value": -2.0, "low": -3.0, "high": -1.0, "p": 1e-4,
             "p_corrected": 1e-4, "n": count}
        ],
        "files": files, "notes": [EVIL], "errors": [{"name": "s1", "system": "ours", "step": "mcd", "reason": EVIL}],
        "excluded": [{"name": "broken", "system": "ours", "reason": EVIL}], "missing": {"ours": [EVIL]},
        "unavailable": [{"metric": "utmos", "reason": EVIL}],
    }  # fmt: skip


def embed(path: str) -> str | None:
    return "data:image/png;base64,AAAA" if path.endswith(".png") else None


class Tags(HTMLParser):
    """Counts tags, and holds that what opens closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


def test_names_cannot_break_the_page() -> None:
    page = pages.page(report(), embed)
    assert "alert(" in html.unescape(page) and "<script>alert" not in page
    assert sum(tag == "script" for tag, _ in parsed(page).seen) == 1


def test_the_page_needs_no_network() -> None:
    page = pages.page(report(), embed)
    assert not re.search(r"https?://|@import|url\(", page)
    for tag, attributes in parsed(page).seen:
        assert tag not in ("link", "iframe")
        if tag == "img":
            assert (attributes["src"] or "").startswith("data:") and attributes["alt"]


def test_what_was_measured_and_what_was_not() -> None:
    text = html.unescape(re.sub("<[^>]+>", " ", pages.page(report(), embed)))
    for part in ("2 undefined, 1 failed", "[2, 4]", "ours is better", "< 0.001", "utmos", "broken (ours)", "lacks"):
        assert part in re.sub(r"\s+", " ", text), part


def test_the_worst_come_first_and_undefined_values_do_not() -> None:
    data = report()
    low, high = (pages.worst(data, metric) for metric in data["metrics"])
    assert [row[0] for row in low[:3]] == ["s11", "s11", "s10"] and len(low) == 10
    assert [row[0] for row in high[:3]] == ["s11", "s11", "s10"]
    assert all(row[0] != "s3" for row in pages.worst(data, data["metrics"][1], count=99))
    order = pages.by_need(data)
    assert order[0] == ("s11", "ours") and len(order) == len(set(order)) == 24


def test_headings_can_be_sorted_by_keyboard_and_say_so() -> None:
    tags = parsed(pages.page(report(), embed)).seen
    heads = [attributes for tag, attributes in tags if tag == "th" and "aria-sort" in attributes]
    assert len(heads) == 5 and all(head["scope"] == "col" for head in heads)
    assert sum(tag == "caption" for tag, _ in tags) == 3 and any(tag == "html" and a["lang"] == "en" for tag, a in tags)


def test_amphions_numbers_carry_a_flag() -> None:
    assert "Amphion" not in pages.page(report(), embed)
    assert 'role="note"' in pages.page({**report(), "like": "amphion"}, embed)


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (float("nan"), "–"), (0.123456, "0.1235"), (12345.6, "12346"), (-3.0, "-3")]
)
def test_numbers(value: float | None, text: str) -> None:
    assert pages.number(value) == text


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_a_click_sorts(tmp_path: Path) -> None:
    """By value, both ways, undefined ones last; and by name with numbers in their order."""
    probe = """<script>
      const table = document.querySelector("table.sorts"), out = {};
      const names = () => [...table.tBodies[0].rows].map(row => row.cells[0].textContent);
      const click = i => table.tHead.rows[0].cells[i].firstElementChild.click();
      click(3); out.up = names(); out.aria = table.tHead.rows[0].cells[3].getAttribute("aria-sort");
      click(3); out.down = names(); click(4); out.pesq = names(); click(0); out.name = names();
      document.body.innerHTML = "<pre></pre>"; document.querySelector("pre").textContent = JSON.stringify(out);
    </script></body>"""
    path = tmp_path / "page.html"
    path.write_text(pages.page(report(), embed).replace("</body>", probe), "utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    out = json.loads(html.unescape(re.search("<pre>(.*)</pre>", shown, re.S)[1]))
    assert out["up"][:4] == [EVIL, EVIL, "s1", "s1"] and out["aria"] == "ascending"
    assert out["down"][:3] == ["s11", "s11", "s10"] and out["up"][24:] == out["down"][24:]  # the reference has none
    assert out["pesq"][0] == "s11" and "s3" not in out["pesq"][:22] and "s3" in out["pesq"][22:]
    assert out["name"][-3:] == ["s11"] * 3 and out["name"].index("s2") < out["name"].index("s10")
