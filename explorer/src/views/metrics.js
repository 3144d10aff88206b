// Metrics: how good each step is, by several measures, and where in time the error still sits.

import * as audio from "../audio.js";
import { lineChart } from "../charts.js";
import { gradient, LINES } from "../colours.js";
import { button, el } from "../dom.js";
import { Heatmap } from "../heatmap.js";
import { selectTrace, set, setStep, state, trace } from "../state.js";
import { metricHelp, metricName, sayStep, t } from "../strings.js";
import { best } from "./compare.js";

export class MetricsView {
  constructor() {
    this.error = new Heatmap({
      label: t("errorMap"),
      height: 170,
      onzoom: (zoom) => set({ zoom }),
      onpick: audio.seek,
      describe: (row) => sayStep(trace().steps[trace().steps.length - 1 - row]),
    });
    this.errorBox = el("div", { class: "card" }, el("div", { class: "card-head" }, el("strong", {}, t("errorMap")), el("span", { class: "hint" }, t("errorMapHelp"))), this.error.node, (this.legend = el("div", { class: "legend" })));
    this.charts = el("div", { class: "grid charts" });
    this.table = el("div", { class: "scroll" });
    this.node = el("section", { class: "view metrics" }, this.charts, this.errorBox, this.table);
    this.error.canvas.addEventListener("click", (event) => {
      const box = this.error.box();
      const steps = trace().steps.length;
      const row = Math.floor(((event.offsetY - box.top) / (box.bottom - box.top)) * steps);
      if (row >= 0 && row < steps) setStep(row);
    });
  }

  update() {
    const names = [...new Map(state.traces.flatMap((own) => own.about.metrics.map((metric) => [metric.name, metric]))).values()];
    this.charts.replaceChildren(...(names.length ? names.map((metric) => this.card(metric)) : [el("p", { class: "hint" }, t("noMetrics"))]));
    this.errors();
    this.table.replaceChildren(names.length ? this.summary(names) : "");
  }

  card(metric) {
    const series = state.traces.map((own, number) => {
      const found = own.about.metrics.find((each) => each.name === metric.name);
      const last = Math.max(1, own.steps.length - 1);
      const many = state.traces.length > 1; // runs of different lengths lie on shares of their way
      return { values: found?.values ?? [], xs: many ? own.steps.map((_, i) => i / last) : null, colour: number, name: own.label };
    });
    const many = state.traces.length > 1;
    const last = Math.max(1, trace().steps.length - 1);
    const chart = lineChart({
      series,
      width: 380,
      height: 190,
      label: metricName(metric),
      xlabel: many ? t("shareOfWay") : t("step"),
      current: many ? state.step / last : state.step + 1,
      onpick: (x) => {
        set({ metric: metric.name });
        setStep(many ? Math.round(x * last) : Math.round(x) - 1);
      },
    });
    return el("div", { class: `card${state.metric === metric.name ? " chosen" : ""}`, "data-metric": metric.name }, el("div", { class: "card-head" }, el("strong", {}, metricName(metric)), el("span", { class: "hint" }, metricHelp(metric))), chart);
  }

  errors() {
    const own = trace();
    const about = own.about.error;
    this.errorBox.hidden = !about || own.steps.length < 2;
    if (this.errorBox.hidden) return;
    const array = own.array(about.array);
    const [steps, columns] = array.shape;
    const values = new Uint8Array(steps * columns); // frames vary slowest in a picture; the first step stands on top
    for (let s = 0; s < steps; s += 1) for (let c = 0; c < columns; c += 1) values[c * steps + (steps - 1 - s)] = array.values[s * columns + c];
    const picture = { values, frames: columns, bands: steps, low: array.low, high: array.high, shown: [array.low, array.high], seconds: own.seconds };
    this.error.draw({ picture, palette: "cividis", zoom: state.zoom, cursor: state.cursor, unit: about.unit, name: t("errorMap") });
    this.legend.replaceChildren(el("span", {}, `${array.low.toFixed(1)} ${about.unit}`), el("span", { class: "scale", style: `background:${gradient("cividis")}` }), el("span", {}, `${array.high.toFixed(1)} ${about.unit}`));
  }

  summary(names) {
    const head = el("tr", {}, el("th", { scope: "col" }, t("metric")), state.traces.map((own, number) => el("th", { scope: "col" }, el("span", { class: "swatch line", style: `background:${LINES[number]}` }), own.label)));
    const rows = names.map((metric) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, metricName(metric)),
        state.traces.map((own, number) => {
          const values = own.about.metrics.find((each) => each.name === metric.name)?.values ?? [];
          const at = number === state.current ? values[state.step] : values[values.length - 1];
          const target = best(own, metric.name);
          const text = at === null || at === undefined ? "–" : `${Number(at.toFixed(2))}`;
          return el("td", {}, text, " ", button(t("best"), () => selectTrace(number, target), { class: "small", "aria-label": `${t("best")}: ${metricName(metric)}` }));
        }),
      ),
    );
    return el("table", {}, el("caption", {}, t("tableHelp")), el("thead", {}, head), el("tbody", {}, rows));
  }
}
