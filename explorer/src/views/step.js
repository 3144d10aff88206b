// Step: from noise to sound. The picture of a step with its melody, a slider through the steps, and what is heard there.

import * as audio from "../audio.js";
import { lineChart, pathChart } from "../charts.js";
import { button, el, toggle } from "../dom.js";
import { Heatmap } from "../heatmap.js";
import { set, setStep, state, trace } from "../state.js";
import { metricName, sayStep, t } from "../strings.js";

const RUN = 3600; // milliseconds from the first step to the last

export class StepView {
  constructor() {
    this.map = new Heatmap({
      label: t("viewStep"),
      height: 380,
      onzoom: (zoom) => set({ zoom }),
      onpick: (seconds) => audio.seek(seconds),
    });
    this.side = el("aside", { class: "side", "aria-label": t("overview") });
    this.caption = el("p", { class: "caption", "aria-live": "polite" });
    this.slider = el("input", { type: "range", min: 0, step: 1, id: "step-slider", oninput: () => setStep(Number(this.slider.value)) });
    this.run = button("", () => runSteps(), { class: "primary", id: "run" });
    this.hear = button("", () => hearStep(), { id: "hear" });
    this.more = el("div", { class: "row" });
    this.node = el(
      "section",
      { class: "view step" },
      el(
        "div",
        { class: "main" },
        this.caption,
        this.map.node,
        el("div", { class: "transport" }, this.run, this.slider, this.hear),
        this.more,
      ),
      this.side,
    );
  }

  update() {
    const own = trace();
    const about = own.about;
    const step = own.steps[state.step] ?? { label: "" };
    const what = about.picture?.what ?? "sound";
    this.map.draw({
      picture: own.picture(state.step),
      mel: what === "mel" ? about.mel : null,
      palette: state.palette,
      bands: state.bands,
      zoom: state.zoom,
      cursor: state.cursor,
      f0: state.showF0 ? own.f0(own.nearestSound(state.step)) : null,
      name: t("pictureOf", { step: sayStep(step), model: own.label }),
    });
    this.map.node.hidden = !about.picture;
    this.caption.textContent = captionOf(own, step);
    this.slider.max = Math.max(0, own.steps.length - 1);
    this.slider.value = state.step;
    this.slider.disabled = own.steps.length < 2;
    this.slider.setAttribute("aria-label", t("stepSlider"));
    this.slider.setAttribute("aria-valuetext", sayStep(step));
    this.run.textContent = state.playing ? `❚❚ ${t("pause")}` : `▶ ${t("runSteps")}`;
    this.run.disabled = own.steps.length < 2;
    const nearest = own.nearestSound(state.step);
    const sounding = nearest >= 0 && audio.isPlaying(state.current, `step:${nearest}`);
    this.hear.disabled = nearest < 0;
    this.hear.textContent = sounding ? `■ ${t("stop")}` : nearest === state.step || nearest < 0 ? `♪ ${t("hear")}` : `♪ ${t("hearNearest", { step: sayStep(own.steps[nearest]) })}`;
    this.controls(own);
    this.overview(own);
  }

  controls(own) {
    const melody = own.steps.some((step) => step.f0);
    const items = [melody && toggle(t("showF0"), state.showF0, (on) => set({ showF0: on }), { id: "f0" })];
    if (own.about.reference) items.push(button(`♪ ${t("hearReference", { what: sayStep(own.about.reference) })}`, () => audio.play(state.current, "reference"), { id: "hear-reference" }));
    if (own.about.final && own.steps[own.steps.length - 1]?.sound !== own.about.final.sound) {
      items.push(button(`♪ ${t("hearFinal")}`, () => audio.play(state.current, "final"), { id: "hear-final" }));
    }
    items.push(button(t("pin"), () => pin(), { id: "pin", title: t("pinHelp") }));
    if (state.zoom) items.push(button(t("zoomOut"), () => set({ zoom: null })));
    if (own.about.vocoder && !own.about.vocoder.exact) items.push(el("span", { class: "hint" }, t("translated")));
    this.more.replaceChildren(...items.filter(Boolean));
  }

  overview(own) {
    const parts = [facts(own)];
    const path = own.about.paths.find((each) => each.over === "steps");
    if (path && own.steps.length > 2) {
      const chart = pathChart({ points: own.array(path.array).values, width: 260, height: 170, label: t("viewPath"), current: state.step, onpick: setStep, small: true, names: own.steps.map(sayStep) });
      parts.push(el("h3", {}, t("viewPath")), chart);
    }
    const metric = own.about.metrics.find((each) => each.name === (state.metric ?? "to_last")) ?? own.about.metrics[0];
    if (metric && own.steps.length > 1) {
      const chart = lineChart({ series: [{ values: metric.values, colour: state.current }], width: 260, height: 140, label: metricName(metric), current: state.step + 1, onpick: (x) => setStep(Math.round(x) - 1), small: true });
      parts.push(el("h3", {}, metricName(metric)), chart);
    }
    this.side.replaceChildren(...parts);
  }
}

function captionOf(own, step) {
  const parts = [sayStep(step)];
  if (own.steps.length > 1 && !/^step \d/.test(step.label)) parts.push(t("ofSteps", { number: state.step + 1, count: own.steps.length }));
  if (step.time !== undefined) parts.push(`t = ${step.time}`);
  return parts.filter(Boolean).join(" · ");
}

/** What was run, as a list. */
export function facts(own) {
  const about = own.about;
  const rows = [
    [t("model"), about.model],
    [t("task"), about.task],
    [t("input"), about.input],
    ...Object.entries(own.settings).map(([key, value]) => [key, String(value)]),
    [t("length"), `${own.seconds.toFixed(2)} s`],
  ].filter(([, value]) => value);
  return el("dl", { class: "facts" }, rows.map(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]));
}

// ---------------------------------------------------------------------------------------------------------- what it does

let timer = 0;

/** Runs through the steps from where they stand, or from the first one; once more stops. */
export function runSteps() {
  clearInterval(timer);
  if (state.playing) {
    set({ playing: false });
    return;
  }
  const count = trace().steps.length;
  if (count < 2) return;
  if (state.step >= count - 1) setStep(0);
  set({ playing: true });
  timer = setInterval(() => {
    const next = state.step + 1;
    if (!state.playing) clearInterval(timer);
    else set({ step: next, playing: next < trace().steps.length - 1 });
  }, Math.max(40, RUN / count));
}

export function hearStep() {
  const nearest = trace().nearestSound(state.step);
  if (nearest < 0) return;
  const key = `step:${nearest}`;
  if (audio.isPlaying(state.current, key)) audio.stop();
  else audio.play(state.current, key);
}

/** Puts the step among those that are compared; four at most, the oldest goes. */
export function pin() {
  const here = { trace: state.current, step: state.step };
  const others = state.pins.filter((p) => p.trace !== here.trace || p.step !== here.step);
  set({ pins: [...others, here].slice(-4), pair: [0, Math.min(1, others.length)], view: "compare" });
}
