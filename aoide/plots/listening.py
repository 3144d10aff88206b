"""The page of a listening test: one static HTML file that plays sounds, takes ratings and saves them as JSON.

    html = page({"kind": "mos", "title": ..., "seed": 0, "test": id, "key": ..., "systems": 3, "items": [...]})

`items` is a list of {"id": name, "sounds": [path of system 0, of system 1, ...]}; the reference of SMOS and MUSHRA has
a path of its own, `open`. The page never shows who made a sound. Each listener gets an order of their own, which their
number decides, and by a Latin square (listener n hears sound i by system (i + n) mod systems) everybody hears every
sound once and every system equally often.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

QUESTIONS = {
    "mos": "How natural does this sound?",
    "smos": "How alike are the voices of the two?",
    "cmos": "How much better is the second than the first?",
    "mushra": "How close is each sound to the reference?",
    "abx": "Which of the two is X?",
}
SCALES: dict[str, list[tuple[int, str]]] = {
    "mos": [(1, "bad"), (2, "poor"), (3, "fair"), (4, "good"), (5, "excellent")],
    "smos": [(1, "another voice"), (2, "hardly alike"), (3, "somewhat alike"), (4, "much alike"), (5, "the same")],
    "cmos": [
        (-3, "much worse"), (-2, "worse"), (-1, "slightly worse"), (0, "about the same"),
        (1, "slightly better"), (2, "better"), (3, "much better"),
    ],
}  # fmt: skip


def page(test: Mapping[str, Any]) -> str:
    """The HTML of a test; see the head of this file for `test`."""
    kind = test["kind"]
    about = {**test, "question": QUESTIONS[kind], "scale": SCALES.get(kind, [])}
    data = json.dumps(about, ensure_ascii=False).replace("<", "\\u003c")  # so that no name can end the script
    title = escape(test["title"])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{_STYLE}</style></head>
<body><main><h1>{title}</h1><div id="stage" aria-live="polite"></div></main>
<script>const TEST = {data};
{_SCRIPT}</script></body></html>
"""


_STYLE = (
    ":root{color-scheme:light dark;--line:#8888;--link:#0b57b7}"
    "@media (prefers-color-scheme:dark){:root{--link:#8ab8ff}}"
    "body{font:17px/1.5 system-ui,sans-serif;margin:0}main{max-width:46rem;margin:0 auto;padding:1.5rem}"
    "h1{font-size:1.4rem}fieldset{border:1px solid var(--line);border-radius:.5rem;margin:1rem 0;padding:.8rem 1rem}"
    "label{display:block;padding:.25rem 0}audio{width:100%;margin:.2rem 0}input[type=range]{width:100%}"
    "button{font:inherit;padding:.5rem 1.2rem;border-radius:.4rem;border:1px solid var(--line);cursor:pointer}"
    "button:disabled{opacity:.5;cursor:default}:focus-visible{outline:3px solid var(--link);outline-offset:2px}"
    "progress{width:100%}"
)
_SCRIPT = r"""
const stage = document.getElementById("stage"), answers = [];
let listener = new URLSearchParams(location.search).get("listener") || "", begun = null;

function random(seed) {                       // mulberry32: small, and the same in every browser
  return () => { seed = (seed + 0x6D2B79F5) | 0; let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t; return ((t ^ (t >>> 14)) >>> 0) / 4294967296; };
}
function shuffled(list, draw) {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(draw() * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}
function pairs(count) {
  const out = [];
  for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) out.push([a, b]);
  return out;
}
function plan(number) {                       // the trials of one listener, in order
  const draw = random(TEST.seed * 100003 + number), two = pairs(TEST.systems);
  const trials = TEST.items.map((item, i) => {
    if (TEST.kind === "mos" || TEST.kind === "smos")
      return {item, systems: [(i + number) % TEST.systems]};
    if (TEST.kind === "mushra")
      return {item, systems: shuffled([...Array(TEST.systems).keys()], draw)};
    const pair = shuffled(two[(i + number) % two.length], draw);
    return {item, systems: pair, x: pair[draw() < 0.5 ? 0 : 1]};
  });
  return shuffled(trials, draw);
}
function element(kind, properties = {}, ...children) {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...children);
  return made;
}
function player(source, label, told = true) {
  const audio = element("audio", {controls: true, src: source, preload: "auto"});
  audio.setAttribute("aria-label", label);
  audio.addEventListener("play", () => document.querySelectorAll("audio").forEach(a => a !== audio && a.pause()));
  return element("div", {}, ...(told ? [element("div", {textContent: label})] : []), audio);
}
function choices(scale, chosen) {
  const box = element("fieldset", {}, element("legend", {textContent: TEST.question}));
  for (const [value, word] of scale) {
    const input = element("input", {type: "radio", name: "score", value});
    input.addEventListener("change", () => chosen(value));
    box.append(element("label", {}, input, ` ${typeof value === "number" ? value + " – " : ""}${word}`));
  }
  return box;
}
function slider(label, source, moved) {
  const range = element("input", {type: "range", min: 0, max: 100, value: 50});
  const shown = element("output", {textContent: "–"});
  range.setAttribute("aria-label", `${label}, 0 bad to 100 excellent`);
  range.addEventListener("input", () => { shown.textContent = range.value; moved(Number(range.value)); });
  return element("fieldset", {}, element("legend", {textContent: label}), player(source, label, false), range, shown);
}
function trial(trials, at) {
  if (at === trials.length) return finish();
  const {item, systems, x} = trials[at], row = {item: item.id}, since = Date.now();
  const next = element("button", {textContent: "Next", disabled: true});
  const set = values => { Object.assign(row, values); next.disabled = false; };
  const source = system => item.sounds[system];
  const parts = [];
  if (item.open) parts.push(player(item.open, "Reference"));
  if (TEST.kind === "mushra") {
    const scores = {};
    parts.push(element("p", {textContent: `${TEST.question} 0 bad, 20 poor, 40 fair, 60 good, 80 to 100 excellent. ` +
      "One of them is the reference itself."}));
    systems.forEach((system, i) => parts.push(slider(`Sound ${i + 1}`, source(system), value => {
      scores[system] = value; row.scores = scores;
      next.disabled = Object.keys(scores).length < systems.length; })));
  } else if (TEST.kind === "abx") {
    const [a, b] = systems;
    parts.push(player(source(a), "A"), player(source(b), "B"), player(source(x), "X"),
      choices([["A", "X is A"], ["B", "X is B"]],
        value => set({first: a, second: b, x, chosen: value === "A" ? a : b})));
  } else if (TEST.kind === "cmos") {
    parts.push(player(source(systems[0]), "First"), player(source(systems[1]), "Second"),
      choices(TEST.scale, score => set({first: systems[0], second: systems[1], score})));
  } else {
    parts.push(player(source(systems[0]), "Sound"), choices(TEST.scale, score => set({system: systems[0], score})));
  }
  next.addEventListener("click", () => {
    answers.push({...row, seconds: (Date.now() - since) / 1000});
    localStorage.setItem(TEST.test + listener, JSON.stringify(answers));
    trial(trials, at + 1);
  });
  const bar = element("progress", {max: trials.length, value: at});
  bar.setAttribute("aria-label", `${at} of ${trials.length} done`);
  stage.replaceChildren(bar, ...parts, next);
}
function saved() {
  return JSON.stringify({aoide_listening: 1, test: TEST.test, kind: TEST.kind, listener, begun,
    finished: new Date().toISOString(), key: TEST.key, answers}, null, 1);
}
function finish() {
  const link = element("a", {textContent: "Save the answers", download: `answers-${listener}.json`,
    href: URL.createObjectURL(new Blob([saved()], {type: "application/json"}))});
  const thanks = "Thank you. Please save the answers and send the file back.";
  stage.replaceChildren(element("p", {textContent: thanks}), link);
  link.focus();
}
function start(number) {
  begun = new Date().toISOString();
  try { answers.push(...JSON.parse(localStorage.getItem(TEST.test + listener) || "[]")); } catch { /* begin anew */ }
  trial(plan(number), answers.length);
}
function welcome() {
  const field = element("input", {type: "number", min: 0, step: 1, required: true, value: listener});
  const form = element("form", {}, element("p", {textContent: TEST.instructions}),
    element("label", {}, "Your listener number ", field), element("button", {textContent: "Begin"}));
  form.addEventListener("submit", event => {
    event.preventDefault(); listener = String(parseInt(field.value, 10)); start(Number(listener)); });
  stage.replaceChildren(form);
}
welcome();
"""
