// Compare: two to four steps or runs below each other on one clock, and what is different between two of them.

import * as audio from "../audio.js";
import { gradient, LINES } from "../colours.js";
import { button, choice, el, select } from "../dom.js";
import { Heatmap } from "../heatmap.js";
import { selectTrace, set, state } from "../state.js";
import { metricName, sayStep, t } from "../strings.js";

export const TASKS = ["steps", "metric", "source", "song", "singer"];
const SETTINGS = { source: ["source", "source_singer", "voice_of"], song: ["song", "input", "text"], singer: ["singer", "voice", "target", "speaker"] };

export class CompareView {
  constructor() {
    this.bar = el("div", { class: "row" });
    this.told = el("p", { class: "hint", "aria-live": "polite" });
    this.grid = el("div", { class: "grid" });
    this.difference = new Heatmap({ label: t("difference"), height: 190, onzoom: (zoom) => set({ zoom }), onpick: audio.seek });
    this.below = el("div", { class: "row" });
    this.legend = el("div", { class: "legend" });
    this.differenceBox = el("div", { class: "card difference" }, this.below, this.difference.node, this.legend);
    this.node = el("section", { class: "view compare" }, this.bar, this.told, this.grid, this.differenceBox);
    this.maps = [];
  }

  update() {
    if (state.pins.length < 2) set({ pins: pinsFor(state.task) });
    const pins = state.pins;
    this.bar.replaceChildren(
      choice(t("compareWhat"), tasks().map((name) => [name, t(`task_${name}`)]), state.task, (task) => set({ task, pins: pinsFor(task), pair: [0, 1] }), { id: "task" }),
      ...(state.task === "metric" ? [metricChoice()] : []),
      ...(state.zoom ? [button(t("zoomOut"), () => set({ zoom: null }))] : []),
    );
    this.told.textContent = told(pins);
    if (this.maps.length !== pins.length) this.rebuild(pins.length);
    pins.forEach((pin, number) => this.one(pin, number));
    this.compared(pins);
  }

  rebuild(count) {
    this.maps = [...Array(count).keys()].map(() => {
      const map = new Heatmap({ label: "", height: count > 2 ? 150 : 230, onzoom: (zoom) => set({ zoom }), onpick: audio.seek });
      const head = el("div", { class: "card-head" });
      return { map, head, node: el("div", { class: "card" }, head, map.node) };
    });
    this.grid.replaceChildren(...this.maps.map((each) => each.node));
  }

  one(pin, number) {
    const own = state.traces[pin.trace];
    const { map, head } = this.maps[number];
    const label = labelOf(pin);
    const nearest = own.nearestSound(pin.step);
    const key = `step:${nearest}`;
    head.replaceChildren(
      el("span", { class: "swatch", style: `background:${LINES[number]}` }, "ABCD"[number]),
      el("strong", {}, label),
      stepChoice(pin, number),
      button(audio.isPlaying(pin.trace, key) ? "■" : "♪", () => (audio.isPlaying(pin.trace, key) ? audio.stop() : hear(pin, key)), {
        disabled: nearest < 0,
        "aria-label": t("hearThis", { what: label }),
        class: "hear-pin",
      }),
    );
    map.draw({
      picture: own.picture(pin.step),
      mel: own.about.picture?.what === "mel" ? own.about.mel : null,
      palette: state.palette,
      bands: state.bands,
      zoom: state.zoom,
      cursor: state.cursor,
      f0: state.showF0 ? own.f0(nearest) : null,
      name: label,
    });
  }

  compared(pins) {
    const options = pins.map((pin, number) => [number, `${"ABCD"[number]}: ${labelOf(pin)}`]);
    const [a, b] = state.pair.map((each) => Math.min(each, pins.length - 1));
    this.below.replaceChildren(
      el("strong", {}, t("difference")),
      select("A", options, a, (value) => set({ pair: [Number(value), b] }), { id: "pair-a" }),
      el("span", {}, "−"),
      select("B", options, b, (value) => set({ pair: [a, Number(value)] }), { id: "pair-b" }),
    );
    const [first, second] = [a, b].map((each) => state.traces[pins[each].trace].picture(pins[each].step));
    const alike = first && second && first.bands === second.bands;
    this.difference.node.hidden = !alike;
    const mel = state.traces[pins[a].trace].about.mel;
    const off = alike ? rms(first, second) : 0;
    const range = alike ? first.shown[1] - first.shown[0] : 1;
    const reach = Math.max(0.02 * range, Math.min(range / 2, 3 * off)); // three times the usual difference
    this.legend.replaceChildren(
      ...(alike
        ? [el("span", {}, `${t("less")} (−${reach.toFixed(1)})`), el("span", { class: "scale", style: `background:${gradient("difference")}` }), el("span", {}, `${t("more")} (+${reach.toFixed(1)})`), el("span", { class: "hint" }, t("differenceOf", { value: off.toFixed(2) }))]
        : [el("span", { class: "hint" }, t("notAlike"))]),
    );
    if (!alike) return;
    this.difference.draw({ picture: first, other: second, reach, mel, bands: state.bands, zoom: state.zoom, cursor: state.cursor, name: t("difference") });
  }
}

function hear(pin, key) {
  selectTrace(pin.trace, pin.step);
  audio.play(pin.trace, key);
}

function stepChoice(pin, number) {
  const own = state.traces[pin.trace];
  if (own.steps.length < 2) return null;
  const slider = el("input", {
    type: "range",
    min: 0,
    max: own.steps.length - 1,
    value: pin.step,
    "aria-label": t("stepSlider"),
    oninput: () => set({ pins: state.pins.map((each, n) => (n === number ? { ...each, step: Number(slider.value) } : each)) }),
  });
  return slider;
}

function metricChoice() {
  const names = new Map();
  for (const own of state.traces) for (const metric of own.about.metrics) names.set(metric.name, metricName(metric));
  const chosen = state.metric ?? names.keys().next().value;
  return select(t("metric"), [...names], chosen, (metric) => {
    state.metric = metric;
    set({ pins: pinsFor("metric"), metric });
  }, { id: "metric-choice" });
}

/** What can be compared with what is here: runs by what differs between them. */
export function tasks() {
  if (state.traces.length < 2) return ["steps", "metric"];
  const found = TASKS.filter((task) => !SETTINGS[task] || settingOf(task));
  return found;
}

function settingOf(task) {
  return (SETTINGS[task] ?? []).find((key) => new Set(state.traces.map((own) => valueOf(own, key))).size > 1);
}

const valueOf = (own, key) => String(own.settings[key] ?? own.about[key] ?? "–");

/** The pins that a task begins with. */
export function pinsFor(task) {
  const { traces, current } = state;
  const own = traces[current];
  const last = own.steps.length - 1;
  if (task === "metric") {
    const name = state.metric ?? own.about.metrics[0]?.name;
    const bests = traces.map((each, number) => ({ trace: number, step: best(each, name) }));
    return traces.length > 1 ? bests.slice(0, 4) : [{ trace: current, step: worst(own, name) }, bests[0]];
  }
  if (traces.length > 1) return traces.slice(0, 4).map((each, number) => ({ trace: number, step: each.steps.length - 1 }));
  const marks = last >= 3 ? spread(own, last) : [...own.steps.keys()];
  const found = marks.map((step) => ({ trace: current, step }));
  return found.length > 1 ? found : [found[0], found[0]];
}

/** Four steps, as far apart as what they have still to go. */
function spread(own, last) {
  const far = own.about.metrics.find((metric) => metric.name === "to_last")?.values;
  const even = [0, Math.round(last / 3), Math.round((2 * last) / 3), last];
  if (!far || !far[0]) return even;
  const nearest = (share) => far.reduce((best, value, step) => (Math.abs(value - share * far[0]) < Math.abs(far[best] - share * far[0]) ? step : best), 0);
  const found = [...new Set([0, nearest(0.6), nearest(0.2), last])].sort((a, b) => a - b);
  return found.length === 4 ? found : even;
}

const better = (name) => (name === "f0_correlation" ? -1 : 1);

function extreme(own, name, sign) {
  const values = own.about.metrics.find((metric) => metric.name === name)?.values ?? [];
  let found = own.steps.length - 1;
  values.forEach((value, step) => {
    if (value !== null && (values[found] === null || values[found] === undefined || sign * value < sign * values[found])) found = step;
  });
  return found;
}

export const best = (own, name) => {
  const found = extreme(own, name, better(name));
  return name === "to_last" || name === "cepstral" || name === "moved" ? own.steps.length - 1 : found;
};
const worst = (own, name) => extreme(own, name, -better(name));

export function labelOf(pin) {
  const own = state.traces[pin.trace];
  const step = sayStep(own.steps[pin.step]);
  return state.traces.length > 1 ? `${own.label} · ${step}` : step;
}

/** What differs between the runs that are shown, in words. */
function told(pins) {
  const runs = [...new Set(pins.map((pin) => pin.trace))].map((number) => state.traces[number]);
  if (runs.length < 2) return t("sameRun");
  const keys = new Set(runs.flatMap((own) => [...Object.keys(own.settings), "model", "input"]));
  const differ = [...keys].filter((key) => new Set(runs.map((own) => valueOf(own, key))).size > 1);
  return differ.length ? t("differIn", { what: differ.map((key) => `${key} (${runs.map((own) => valueOf(own, key)).join(" / ")})`).join(", ") }) : t("differInNothing");
}

function rms(first, second) {
  const ratio = second.frames / second.seconds / (first.frames / first.seconds);
  let sum = 0;
  let count = 0;
  for (let frame = 0; frame < first.frames; frame += 1) {
    const there = Math.round(frame * ratio);
    if (there >= second.frames) break;
    for (let band = 0; band < first.bands; band += 1) {
      const a = first.low + ((first.high - first.low) * first.values[frame * first.bands + band]) / 255;
      const b = second.low + ((second.high - second.low) * second.values[there * second.bands + band]) / 255;
      sum += (a - b) ** 2;
      count += 1;
    }
  }
  return count ? Math.sqrt(sum / count) : 0;
}
