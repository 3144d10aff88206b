"""The page: built of the sources in the tree, whole in itself, small."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from aoide.config import UserError
from aoide.explain import page
from aoide.explain.traces import Trace, read

SOURCES = Path(__file__).parents[2] / "explorer"


def example(frames: int = 40, title: str = "some") -> Trace:
    trace = Trace({"title": title, "steps": [{"label": f"step {n}"} for n in range(3)], "seconds": 1.0})
    trace.put("pictures", np.random.default_rng(0).normal(size=(3, frames, 20)), "u1")
    trace.about["picture"] = {"array": "pictures", "what": "mel", "low": -1.0, "high": 1.0}
    return trace


@pytest.mark.skipif(not SOURCES.is_dir(), reason="the sources of the page are not here")
def test_the_built_page_is_of_these_sources() -> None:
    names = [path.relative_to(SOURCES) for path in SOURCES.rglob("*") if path.is_file()]
    names = [
        name
        for name in names
        if not {"node_modules", "dist", "package-lock.json"} & set(name.parts)
        and not any(part.startswith(".") for part in name.parts)
    ]
    total = hashlib.sha256()
    for name in sorted(map(Path.as_posix, names)):
        total.update(f"{name}\n".encode() + (SOURCES / name).read_bytes())
    built = re.search(r'name="aoide-sources" content="(\w+)"', page.TEMPLATE.read_text("utf-8"))
    assert built is not None and built[1] == total.hexdigest(), "run `npm ci && npm run build` in explorer/"


def test_every_sentence_is_there_in_both_languages() -> None:
    if not SOURCES.is_dir():
        pytest.skip("the sources of the page are not here")
    text = (SOURCES / "src" / "strings.js").read_text("utf-8")
    english, chinese = (set(re.findall(r"^  (\w+):", part, re.M)) for part in text.split("const ZH")[:2])
    assert english and english == {key for key in chinese if key in english} | (english - chinese)
    assert english - chinese == set()


def test_the_page_needs_nothing_else() -> None:
    html = page.html([example()])
    assert html.count("application/x-aoide") == 2  # the trace, and the code that looks for it
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", html)
    assert "default-src 'none'" in html and len(html) < 400_000


def test_a_title_cannot_end_the_page() -> None:
    html = page.html([example(title='</script><script>alert("x")</script>')])
    assert "<script>alert" not in html


def test_pages_of_long_traces_stay_below_ten_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = example(frames=4000)
    monkeypatch.setattr(page, "MOST", len(page.TEMPLATE.read_bytes()) + 60_000)
    html = page.html([trace])
    assert len(html.encode()) < page.MOST + 2000 and len(trace.bytes()) > 120_000
    assert trace.array("pictures").shape[1] == 4000  # the trace itself stays as it is


def test_a_page_shows_one_to_four(tmp_path: Path) -> None:
    for number in (0, 5):
        with pytest.raises(UserError, match="1 to 4 traces"):
            page.html([example()] * number)
    with pytest.raises(UserError, match="ends in .html"):
        page.write(tmp_path / "a.txt", [example()])
    assert "<iframe" in example()._repr_html_()


def test_what_the_page_holds_is_the_file() -> None:
    import base64
    import io

    html = page.html([example()])
    data = re.search(r'data-name="some">([^<]+)<', html)
    assert data is not None
    back = read(io.BytesIO(base64.b64decode(data[1])), "x")
    assert json.dumps(back.about["steps"]) == json.dumps(example().about["steps"])
