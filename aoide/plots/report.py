"""The page of an evaluation: one HTML file that needs no network, from plain data.

    html = page(report, embed)      # report: see `aoide.metrics.evaluation.evaluate`; embed: path -> data URI or None

It has the table of means with intervals, what was left out and why, tests between systems, the worst ten of each
metric, pictures and players, and all files in a table that sorts by a click. Everything that comes from outside is
escaped; the page works with a keyboard and a screen reader, in light and dark, and says nothing by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import quote

WORST = 10
CARDS = 400
_REFERENCE = "(reference)"
_SIGNIFICANT = 0.05

Report = Mapping[str, Any]
Embed = Callable[[str], str | None]


def worst(report: Report, metric: Mapping[str, Any], count: int = WORST) -> list[tuple[str, str, float]]:
    """(name, system, value) of the worst files of a metric, the worst first; undefined values are not among them."""
    name = metric["name"]
    found = [
        (row["name"], row["system"], row["values"][name])
        for row in report["files"]
        if row["system"] != _REFERENCE and _known(row["values"].get(name))
    ]
    return sorted(found, key=lambda row: row[2], reverse=metric["better"] == "lower")[:count]


def by_need(report: Report) -> list[tuple[str, str]]:
    """(name, system) in the order in which somebody will look: the worst of each metric, the second worst, the rest.

    No more than `CARDS` of them: a page of a thousand pictures is of no use.
    """
    columns = [worst(report, metric) for metric in report["metrics"]]
    ranked = (column[rank][:2] for rank in range(WORST) for column in columns if rank < len(column))
    rest = ((row["name"], row["system"]) for row in report["files"] if row["system"] != _REFERENCE)
    return list(dict.fromkeys([*ranked, *rest]))[:CARDS]


def page(report: Report, embed: Embed) -> str:
    """The page.

    Args:
        report: the data, with None or NaN for what is undefined.
        embed: the data URI of a picture or sound by its path, or None: the page then links to the path.
    """
    title = f"Evaluation: {', '.join(report['systems'])}"
    body = "\n".join(
        part
        for part in (
            _head(report, title),
            _summary(report),
            _tests(report),
            _left_out(report),
            _worst_of_each(report, embed),
            _files(report),
        )
        if part
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{_STYLE}</style></head>
<body><a class="skip" href="#files">To the table of all files</a>
<main>
{body}
</main><script>{_SCRIPT}</script></body></html>
"""


# ------------------------------------------------------------------------------------------------------------- sections


def _head(report: Report, title: str) -> str:
    about = [f"{report['pairs']} {'pairs' if report['reference'] else 'sounds'}", f"made {report['made']}"]
    if report["reference"]:
        about.insert(0, f"reference {report['reference']}")
    if report.get("align"):
        ways = {"time": "frame by frame", "dtw": "after dynamic time warping"}
        about.append(f"compared {ways[report['align']]}")
    about.append(f"Aoide {report['aoide']}")
    notes = "".join(f"<li>{escape(note)}</li>" for note in report["notes"])
    like = '<p class="flag" role="note">Amphion\'s numbers, not ours: see the notes.</p>' if report["like"] else ""
    return f"<h1>{escape(title)}</h1>{like}<p>{escape(' · '.join(about))}</p>" + (f"<ul>{notes}</ul>" if notes else "")


def _summary(report: Report) -> str:
    columns = [*([_REFERENCE] if any(_REFERENCE in c for c in report["summary"].values()) else []), *report["systems"]]
    head = "".join(f'<th scope="col">{escape(system)}</th>' for system in columns)
    rows = []
    for metric in report["metrics"]:
        cells = report["summary"][metric["name"]]
        best = _best(metric, {system: cells[system] for system in report["systems"] if system in cells})
        shown = "".join(
            _cell(cells.get(system), system in best and len(best) < len(report["systems"])) for system in columns
        )
        rows.append(
            f'<tr><th scope="row" title="{escape(metric["about"])}">{escape(metric["name"])}</th>'
            f"<td>{escape(metric['unit'] or '–')}</td><td>{_arrow(metric)}</td>{shown}</tr>"
        )
    return f"""<h2>Means</h2><div class="wide"><table>
<caption>The mean over the files (for error rates the rate of the corpus), its 95 % bootstrap interval, and the number
of files n. ★ marks the best of several systems; whether it is better than the others, the tests below say.</caption>
<thead><tr><th scope="col">metric</th><th scope="col">unit</th><th scope="col">better</th>{head}</tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>"""


def _best(metric: Mapping[str, Any], cells: Mapping[str, Mapping[str, Any]]) -> set[str]:
    values = {system: cell["value"] for system, cell in cells.items() if _known(cell["value"])}
    if len(cells) < 2 or not values:
        return set()
    extreme = (max if metric["better"] == "higher" else min)(values.values())
    return {system for system, value in values.items() if value == extreme}


def _cell(cell: Mapping[str, Any] | None, best: bool) -> str:
    if cell is None:
        return "<td>–</td>"
    interval = f"[{number(cell['low'])}, {number(cell['high'])}]" if _known(cell["low"]) else ""
    beside = [f"n {cell['n']}"]
    if cell["nan"]:
        beside.append(f"{cell['nan']} undefined")
    if cell["failed"]:
        beside.append(f"{cell['failed']} failed")
    star = ' <span title="best">★</span>' if best else ""
    return f"<td><b>{number(cell['value'])}</b>{star} <small>{interval} {', '.join(beside)}</small></td>"


def _tests(report: Report) -> str:
    if not report["tests"]:
        return ""
    better = {metric["name"]: metric["better"] for metric in report["metrics"]}
    rows = []
    for test in report["tests"]:
        gap, p = test["value"], test["p_corrected"]
        sure = _known(p) and p < _SIGNIFICANT
        winner = test["first"] if (gap > 0) == (better[test["metric"]] == "higher") else test["second"]
        told = f"{escape(winner)} is better" if sure and gap else "no difference shown"
        systems = f"{escape(test['first'])} − {escape(test['second'])}"
        rows.append(
            f'<tr><th scope="row">{escape(test["metric"])}</th><td>{systems}</td>'
            f"<td>{number(gap)} <small>[{number(test['low'])}, {number(test['high'])}]</small></td>"
            f"<td>{_p(p)}</td><td>{test['n']}</td><td>{told}</td></tr>"
        )
    return f"""<h2>Between systems</h2><div class="wide"><table>
<caption>Differences on the files that both have: paired bootstrap interval, and p of a paired permutation test,
corrected for the number of pairs of systems (Holm).</caption>
<thead><tr><th scope="col">metric</th><th scope="col">systems</th><th scope="col">difference</th><th scope="col">p</th>
<th scope="col">n</th><th scope="col">at 5 %</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>"""


def _left_out(report: Report) -> str:
    parts = []
    if report["excluded"]:
        rows = (f"{row['name']} ({row['system']}): {row['reason']}" for row in report["excluded"])
        parts.append(_listed(f"Excluded: {len(report['excluded'])} sounds that cannot be read", rows))
    if report["missing"]:
        rows = (f"{place} lacks {name}" for place, names in report["missing"].items() for name in names)
        parts.append(_listed("Not in all sets, so not measured", rows))
    if report["unavailable"]:
        rows = (f"{row['metric']}: {row['reason']}" for row in report["unavailable"])
        parts.append(_listed("Metrics that could not run", rows))
    if report["errors"]:
        rows = (f"{row['step']}, {row['name']} ({row['system']}): {row['reason']}" for row in report["errors"])
        parts.append(_listed(f"Values that failed: {len(report['errors'])}", rows))
    return f"<h2>Left out</h2>{''.join(parts)}" if parts else ""


def _listed(title: str, rows: Iterator[str]) -> str:
    items = "".join(f"<li>{escape(row)}</li>" for row in rows)
    return f"<details open><summary>{escape(title)}</summary><ul>{items}</ul></details>"


def _worst_of_each(report: Report, embed: Embed) -> str:
    files = {(row["name"], row["system"]): row for row in report["files"]}
    parts = []
    for metric in report["metrics"]:
        rows = []
        for name, system, value in worst(report, metric):
            card = _anchor(name, system)
            rows.append(
                f'<li><a href="#{card}">{escape(name)}</a> <small>{escape(system)}</small> <b>{number(value)}</b></li>'
            )
        if rows:
            unit = f" ({escape(metric['unit'])})" if metric["unit"] else ""
            parts.append(f"<section><h3>{escape(metric['name'])}{unit}</h3><ol>{''.join(rows)}</ol></section>")
    cards = [_card(report, files[place], files.get((place[0], _REFERENCE)), embed) for place in by_need(report)]
    return f"""<h2>The worst ten of each metric</h2><div class="columns">{"".join(parts)}</div>
<h2>To see and hear</h2><p>Mel spectrograms up to 8 kHz, the reference above (where there is one) and the generated
sound below; the white line is F0, from 60 Hz at the bottom to 960 Hz at the top, an octave a quarter. The worst come
first.</p><div class="cards">{"".join(cards)}</div>"""


def _card(report: Report, row: Report, truth: Report | None, embed: Embed) -> str:
    name = f"{row['name']} – {row['system']}"
    picture = _picture(row["picture"], name, embed) if row.get("picture") else ""
    players = [_player(row["path"], row["system"], embed)]
    if truth is not None:
        players.insert(0, _player(truth["path"], "reference", embed))
    said = ""
    if row.get("transcript") is not None:
        said = f"<dl><dt>text</dt><dd>{escape(row['text'] or '–')}</dd>"
        said += f"<dt>heard</dt><dd>{escape(row['transcript'])}</dd></dl>"
    units = {metric["name"]: metric["unit"] for metric in report["metrics"]}
    values = ", ".join(
        f"{escape(key)} {number(value)} {escape(units[key])}".strip() for key, value in row["values"].items()
    )
    return (
        f'<article id="{_anchor(row["name"], row["system"])}"><h3>{escape(name)}</h3>{picture}{"".join(players)}{said}'
        f"<details><summary>all values</summary><p>{values}</p></details></article>"
    )


def _picture(path: str, name: str, embed: Embed) -> str:
    source = embed(path) or quote(path)
    return f'<img loading="lazy" src="{source}" alt="Spectrogram and F0 of {escape(name)}">'


def _player(path: str, label: str, embed: Embed) -> str:
    data = embed(path)
    if data is None:
        return f'<p><a href="{escape(quote(path))}">{escape(label)}</a></p>'
    return (
        f"<figure><figcaption>{escape(label)}</figcaption>"
        f'<audio controls preload="none" src="{data}" aria-label="{escape(label)}"></audio></figure>'
    )


def _files(report: Report) -> str:
    metrics = report["metrics"]
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{escape(title)}</button></th>'
        for title in ("name", "system", "seconds", *(metric["name"] for metric in metrics))
    )
    cards = set(by_need(report))
    rows = []
    for row in report["files"]:
        name = escape(row["name"])
        if (row["name"], row["system"]) in cards:
            name = f'<a href="#{_anchor(row["name"], row["system"])}">{name}</a>'
        elif row.get("picture"):
            name = f'<a href="{escape(quote(row["picture"]))}">{name}</a>'
        values = "".join(_value(row["values"].get(metric["name"])) for metric in metrics if metric)
        heard = f'<a href="{escape(quote(row["path"]))}">{escape(row["system"])}</a>'
        rows.append(f'<tr><th scope="row">{name}</th><td>{heard}</td>{_value(row.get("seconds"))}{values}</tr>')
    return f"""<h2 id="files">All files</h2><div class="wide tall"><table class="sorts">
<caption>Click a heading to sort by it, once more for the other way round. – is undefined.</caption>
<thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>"""


def _value(value: float | None) -> str:
    return f'<td data-v="{value!r}">{number(value)}</td>' if _known(value) else '<td data-v="">–</td>'


# ---------------------------------------------------------------------------------------------------------------- words


def _anchor(name: str, system: str) -> str:
    return "f-" + quote(f"{system}/{name}", safe="").replace("%", "_")


def _arrow(metric: Mapping[str, Any]) -> str:
    return "↑ higher" if metric["better"] == "higher" else "↓ lower"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def number(value: float | None) -> str:
    """A number with four significant digits, or a dash for what is undefined."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _p(p: float | None) -> str:
    if p is None or not math.isfinite(p):
        return "–"
    return "&lt; 0.001" if p < 0.001 else f"{p:.3f}"


_COLOURS_DARK = "--ink:#e8e6e1;--paper:#17181a;--line:#3b3d42;--soft:#232529;--link:#8ab8ff;--flag:#4a3b10"
_STYLE = (
    ":root{color-scheme:light dark;"
    "--ink:#1c1d20;--paper:#fff;--line:#d5d3cd;--soft:#f4f3ef;--link:#0b57b7;--flag:#fff0c2}"
    f"@media (prefers-color-scheme:dark){{:root{{{_COLOURS_DARK}}}}}"
    "body{margin:0;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}"
    "main{max-width:78rem;margin:0 auto;padding:1rem 1.25rem 4rem}a{color:var(--link)}"
    "h1{font-size:1.6rem;margin:.6rem 0}h2{margin:2.2rem 0 .6rem;font-size:1.25rem}h3{margin:.2rem 0;font-size:1rem}"
    ".flag{background:var(--flag);padding:.5rem .8rem;border-radius:.4rem;font-weight:600}"
    ".skip{position:absolute;left:-99rem}.skip:focus{left:1rem}"
    ".wide{overflow-x:auto}.tall{max-height:36rem;overflow-y:auto}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "caption{text-align:left;padding:.3rem 0 .6rem;max-width:60rem}"
    "th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap;font-weight:400}"
    "thead th{position:sticky;top:0;background:var(--soft);font-weight:600}tbody tr:hover{background:var(--soft)}"
    "tbody th{max-width:24rem;overflow:hidden;text-overflow:ellipsis}small{opacity:.75}"
    "button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer}"
    "button:focus-visible,a:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px}"
    'th[aria-sort=ascending] button::after{content:" ▲"}th[aria-sort=descending] button::after{content:" ▼"}'
    ".columns{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1rem}"
    "ol{margin:.2rem 0;padding-left:1.6rem}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(21rem,1fr));gap:1rem}"
    "article{border:1px solid var(--line);border-radius:.5rem;padding:.7rem;"
    "overflow-wrap:anywhere;scroll-margin-top:1rem}"
    "article:target{outline:3px solid var(--link)}article img{width:100%;image-rendering:pixelated;border-radius:.3rem}"
    "figure{margin:.4rem 0}audio{width:100%;height:2.2rem}dl{margin:.4rem 0}dt{font-weight:600}dd{margin:0 0 .3rem}"
)
_SCRIPT = """
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const of = row => { const cell = row.cells[column], v = cell.dataset.v;
      return v === undefined ? cell.textContent : v === "" ? null : Number(v); };
    const rows = [...body.rows].map(row => [of(row), row]);
    rows.sort(([a], [b]) => a === null ? (b === null ? 0 : 1) : b === null ? -1 :
      (up ? 1 : -1) * (typeof a === "string" ? a.localeCompare(b, undefined, {numeric: true}) : a - b));
    body.append(...rows.map(([, row]) => row));
  }));
}
"""
