// Path: the run as a way through the space of hidden states, flattened to the two directions that differ most.

import * as audio from "../audio.js";
import { pathChart } from "../charts.js";
import { choice, el } from "../dom.js";
import { gradient } from "../colours.js";
import { Heatmap } from "../heatmap.js";
import { selectTrace, set, setStep, state, trace } from "../state.js";
import { sayStep, t } from "../strings.js";

export class PathView {
  constructor() {
    this.bar = el("div", { class: "row" });
    this.charts = el("div", { class: "grid paths" });
    this.preview = new Heatmap({ label: t("preview"), height: 220, compact: true });
    this.caption = el("p", { class: "caption" });
    this.scale = el("div", { class: "legend" });
    this.node = el(
      "section",
      { class: "view path-view" },
      this.bar,
      el("div", { class: "beside" }, el("div", {}, this.charts, this.scale), el("aside", { class: "card preview" }, this.caption, this.preview.node)),
    );
    this.hovered = null;
  }

  update() {
    const names = [...new Set(state.traces.flatMap((own) => own.about.paths.map(spaceOf)))];
    const chosen = names[Math.min(state.space, names.length - 1)];
    this.bar.replaceChildren(
      names.length
        ? choice(t("space"), names.map((name, number) => [number, spaceName(name)]), Math.min(state.space, names.length - 1), (space) => set({ space }), { id: "space" })
        : el("p", { class: "hint" }, t("noPath")),
    );
    const cards = state.traces.map((own, number) => this.chart(own, number, chosen)).filter(Boolean);
    this.charts.replaceChildren(...cards);
    const steps = state.traces.some((own) => own.about.paths.some((each) => spaceOf(each) === chosen && each.over === "steps"));
    this.scale.replaceChildren(
      ...(cards.length ? [el("span", {}, t(steps ? "firstStep" : "beginning")), el("span", { class: "scale", style: `background:${gradient("viridis")}` }), el("span", {}, t(steps ? "lastStep" : "end"))] : []),
    );
    this.show(this.hovered ?? state.step);
  }

  chart(own, number, chosen) {
    const path = own.about.paths.find((each) => spaceOf(each) === chosen);
    if (!path) return null;
    const points = own.array(path.array).values;
    const overSteps = path.over === "steps";
    const count = points.length / 2;
    const here = overSteps ? state.step : Math.round(((state.cursor ?? 0) / own.seconds) * (count - 1));
    const pick = (index) => {
      if (overSteps) selectTrace(number, index);
      else {
        selectTrace(number, state.step);
        audio.seek((index / (count - 1)) * own.seconds);
      }
    };
    const wide = state.traces.length === 1;
    const chart = pathChart({
      points,
      width: wide ? 900 : 480,
      height: wide ? 470 : 360,
      label: `${t("viewPath")}: ${own.label}`,
      current: number === state.current || !overSteps ? here : own.steps.length - 1,
      onpick: pick,
      onhover: (index) => {
        if (number !== state.current || !overSteps) return;
        this.hovered = index;
        this.show(index ?? state.step);
      },
      names: overSteps ? own.steps.map(sayStep) : [...Array(count).keys()].map((i) => `${((i / (count - 1)) * own.seconds).toFixed(2)} s`),
    });
    const held = t("axesHold", { first: Math.round(100 * path.shares[0]), second: Math.round(100 * path.shares[1]) });
    return el("div", { class: "card" }, el("div", { class: "card-head" }, el("strong", {}, own.label), el("span", { class: "hint" }, held)), chart);
  }

  show(step) {
    const own = trace();
    const picture = own.picture(step);
    this.caption.textContent = sayStep(own.steps[step]);
    if (picture) this.preview.draw({ picture, palette: state.palette, bands: state.bands, zoom: state.zoom, cursor: state.cursor });
  }
}

const spaceOf = (path) => (path.name === "hidden" ? `hidden ${path.layer}` : path.name);

function spaceName(name) {
  return name.startsWith("hidden ") ? t("space_hidden", { layer: Number(name.slice(7)) + 1 }) : t(`space_${name}`);
}

export const goTo = setStep;
