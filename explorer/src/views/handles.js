// Durations, pitch and energy of each token as handles: drag them, or use the arrow keys; save the edit, or speak it.

import { scaleLinear } from "d3-scale";
import { drag } from "d3-drag";
import { select } from "d3-selection";
import { LINES } from "../colours.js";
import { button, el } from "../dom.js";
import { t } from "../strings.js";

const HEIGHT = 260;
const LOW = 190; // y below which durations and symbols stand
const RANGES = { pitch: 12, energy: 12 }; // semitones and dB, up and down

/** A panel: about.edits = {durations: factors, pitch: semitones, energy: dB} a token. */
export function handlesPanel(own, panel) {
  const count = panel.tokens.length;
  panel.edits ??= { durations: Array(count).fill(1), pitch: Array(count).fill(0), energy: Array(count).fill(0) };
  const stage = el("div", { class: "scroll handles" });
  const status = el("p", { class: "hint", "aria-live": "polite" }, t("handlesHint"));
  const draw = () => stage.replaceChildren(chart(panel, draw, (text) => (status.textContent = text)));
  draw();
  if (!panel.resynth) status.textContent = t("handlesShown");
  const again = panel.resynth ? speakAgain(panel, status) : null;
  return el(
    "div",
    {},
    el(
      "div",
      { class: "legend" },
      panel.pitch ? [el("span", { class: "swatch line", style: `background:${LINES[0]}` }), t("pitchHandle", { unit: panel.pitch_unit ?? "" })] : null,
      panel.energy ? [el("span", { class: "swatch line", style: `background:${LINES[1]}` }), t("energyHandle")] : null,
      el("span", { class: "swatch line", style: `background:${LINES[2]}` }),
      t("durationHandle"),
    ),
    stage,
    panel.resynth && el(
      "div",
      { class: "row" },
      button(t("reset"), () => {
        panel.edits = null;
        panel.edits = { durations: Array(count).fill(1), pitch: Array(count).fill(0), energy: Array(count).fill(0) };
        draw();
      }),
      button(t("saveEdits"), () => save(own, panel), { id: "save-edits" }),
      again,
    ),
    status,
    panel.resynth && !again ? el("p", { class: "hint" }, t("noServer")) : null,
  );
}

function chart(panel, redraw, tell) {
  const rate = panel.frame_rate || 80;
  const durations = panel.durations.map((frames, i) => frames * panel.edits.durations[i]);
  const total = durations.reduce((a, b) => a + b, 0) || 1;
  const width = Math.max(1180, Math.min(9000, (total / rate) * 420));
  const x = scaleLinear([0, total], [10, width - 10]);
  const svg = el("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, style: `width:${width}px`, class: "chart", role: "group", "aria-label": t("inside_handles") });
  const scales = { pitch: scaleOf(panel.pitch), energy: scaleOf(panel.energy) };
  let start = 0;
  panel.tokens.forEach((symbol, i) => {
    const [from, to] = [x(start), x(start + durations[i])];
    start += durations[i];
    svg.append(el("rect", { x: from, y: LOW, width: Math.max(0, to - from - 1), height: 30, class: i % 2 ? "token odd" : "token" }));
    if (to - from > 5) svg.append(el("text", { x: (from + to) / 2, y: LOW + 20, class: "symbol", "text-anchor": "middle" }, symbol));
    for (const [name, number] of [["pitch", 0], ["energy", 1]]) {
      const value = panel[name]?.[i];
      if (value === null || value === undefined || to - from < 1) continue;
      const offset = panel.edits[name][i];
      const y = scales[name](value) - (offset / RANGES[name]) * 50;
      const middle = (from + to) / 2;
      svg.append(el("line", { x1: from + 1, x2: to - 2, y1: y, y2: y, stroke: LINES[number], class: "level" }));
      const knob = name === "pitch" ? el("circle", { cx: middle, cy: y, r: 6, fill: LINES[number] }) : el("rect", { x: middle - 5, y: y - 5, width: 10, height: 10, fill: LINES[number] });
      svg.append(handle(knob, { panel, name, i, symbol, redraw, tell, limit: RANGES[name], perPixel: -RANGES[name] / 50, axis: "y" }));
    }
    const edge = el("rect", { x: to - 3, y: LOW, width: 6, height: 30, fill: LINES[2], rx: 2 });
    svg.append(handle(edge, { panel, name: "durations", i, symbol, redraw, tell, perPixel: panel.durations[i] ? total / (width - 20) / panel.durations[i] : 0, axis: "x" }));
  });
  return svg;
}

function scaleOf(values) {
  const known = (values ?? []).filter((value) => value !== null);
  const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  return scaleLinear([low, high === low ? low + 1 : high], [150, 60]);
}

function handle(node, { panel, name, i, symbol, redraw, tell, limit = null, perPixel, axis }) {
  const measured = name === "durations" ? panel.durations[i] : panel[name][i];
  node.append(Object.assign(document.createElementNS("http://www.w3.org/2000/svg", "title"), { textContent: `${symbol}: ${measured}` }));
  if (!panel.resynth) return node;
  const edits = panel.edits[name];
  const clamp = (value) => (name === "durations" ? Math.max(0.25, Math.min(4, value)) : Math.max(-limit, Math.min(limit, value)));
  const change = (value) => {
    edits[i] = Math.round(100 * clamp(value)) / 100;
    tell(t(`edited_${name}`, { symbol, value: edits[i] }));
  };
  node.setAttribute("class", `handle ${axis}`);
  node.setAttribute("tabindex", "0");
  node.setAttribute("role", "slider");
  node.setAttribute("aria-label", `${t(`edit_${name}`)} ${symbol}`);
  node.setAttribute("aria-valuenow", edits[i]);
  node.setAttribute("aria-valuemin", name === "durations" ? 0.25 : -limit);
  node.setAttribute("aria-valuemax", name === "durations" ? 4 : limit);
  node.dataset.handle = `${name}-${i}`;
  node.addEventListener("keydown", (event) => {
    const up = ["ArrowUp", "ArrowRight"].includes(event.key);
    if (!up && !["ArrowDown", "ArrowLeft"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    change(edits[i] + (up ? 1 : -1) * (name === "durations" ? 0.1 : 0.5));
    redraw();
    document.querySelector(`[data-handle="${name}-${i}"]`)?.focus();
  });
  let began = edits[i];
  let moved = 0;
  select(node).call(
    drag()
      .on("start", () => ([began, moved] = [edits[i], 0]))
      .on("drag", (event) => {
        moved += axis === "x" ? event.dx : event.dy;
        change(began + moved * perPixel);
        node.style.transform = axis === "x" ? `translateX(${moved}px)` : `translateY(${(edits[i] - began) / perPixel}px)`;
      })
      .on("end", redraw),
  );
  return node;
}

/** The edit as JSON, as POST /v1/audio/resynth and `aoide explain --edits` take it. */
export function editOf(panel) {
  return { ...(panel.resynth ?? {}), tokens: panel.tokens, edits: panel.edits };
}

function save(own, panel) {
  const text = JSON.stringify(editOf(panel), null, 1);
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: "edits.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function speakAgain(panel, status) {
  if (!document.baseURI.startsWith("http")) return null; // a file has no server
  const audio = el("audio", { controls: true, hidden: true });
  const node = button(t("speakAgain"), async () => {
    status.textContent = t("working");
    try {
      const answer = await fetch("/v1/audio/resynth", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...editOf(panel), response_format: "opus" }) });
      if (!answer.ok) throw new Error(`${answer.status}`);
      audio.src = URL.createObjectURL(await answer.blob());
      audio.hidden = false;
      await audio.play();
      status.textContent = "";
    } catch (error) {
      status.textContent = t("serverFailed", { why: error.message });
    }
  });
  return el("span", { class: "row" }, node, audio);
}
