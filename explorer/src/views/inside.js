// Inside: what the blocks of a model reported, by kind: attention, alignment, unmasking, codebooks, critics, handles.

import { lineChart } from "../charts.js";
import { choice, clear, el, select } from "../dom.js";
import { gradient, shade, table } from "../colours.js";
import { set, state, trace } from "../state.js";
import { t } from "../strings.js";
import { handlesPanel } from "./handles.js";

const KINDS = ["handles", "alignment", "attention", "unmasking", "certainty", "codes", "critic"];

export class InsideView {
  constructor() {
    this.bar = el("div", { class: "row" });
    this.body = el("div", { class: "panels" });
    this.node = el("section", { class: "view inside" }, this.bar, this.body);
    this.chosen = {}; // kind -> which of its panels
    this.key = "";
  }

  update(changed) {
    const own = trace();
    const kinds = KINDS.filter((kind) => own.inside.some((panel) => panel.kind === kind));
    if (!kinds.length) {
      this.key = "";
      this.bar.replaceChildren();
      this.body.replaceChildren(el("p", { class: "hint empty" }, t("nothingInside")));
      return;
    }
    const number = Math.min(state.panel, kinds.length - 1);
    const kind = kinds[number];
    this.bar.replaceChildren(choice(t("viewInside"), kinds.map((each, i) => [i, t(`inside_${each}`)]), number, (panel) => set({ panel }), { id: "inside" }));
    const key = [kind, state.language, state.palette, state.theme, state.mode].join();
    if (key === this.key && own === this.own && !changed?.has("panel")) return; // what is inside does not change with the step
    this.key = key;
    this.own = own;
    this.render(own, kind);
  }

  render(own, kind) {
    const panels = own.inside.filter((panel) => panel.kind === kind);
    const card = el("div", { class: "card wide" }, el("p", { class: "caption" }, t(`insideHelp_${kind}`)));
    const again = () => this.render(own, kind);
    card.append(...DRAW[kind](own, panels, this.chosen, again));
    clear(this.body);
    this.body.append(card);
  }
}

const DRAW = {
  handles: (own, panels) => panels.map((panel) => handlesPanel(own, panel)),
  attention,
  alignment,
  unmasking,
  certainty,
  codes,
  critic,
};

/** A map of bytes (rows, columns) on a canvas; the first row on top, or at the bottom. */
function bytesMap({ values, rows, columns, label, palette = "viridis", height = 260, below = false, width = null }) {
  const canvas = el("canvas", { role: "img", "aria-label": label, class: "bytes", width: columns, height: rows, style: `height:${height}px;${width ? `width:${width}px` : ""}` });
  const image = new ImageData(columns, rows);
  const colours = table(palette);
  for (let y = 0; y < rows; y += 1) {
    for (let x = 0; x < columns; x += 1) {
      const value = 3 * values[(below ? rows - 1 - y : y) * columns + x];
      image.data.set([colours[value], colours[value + 1], colours[value + 2], 255], 4 * (y * columns + x));
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

const framed = (canvas, vertical, horizontal) =>
  el("figure", { class: "framed" }, el("span", { class: "vertical" }, vertical), canvas, el("figcaption", {}, horizontal));

function legend(palette, low, high) {
  return el("div", { class: "legend" }, el("span", {}, low), el("span", { class: "scale", style: `background:${gradient(palette)}` }), el("span", {}, high));
}

function attention(own, panels, chosen, again) {
  const number = Math.min(chosen.attention ?? panels.length - 1, panels.length - 1);
  const panel = panels[number];
  const [heads, rows, columns] = own.array(panel.map).shape;
  const head = Math.min(chosen.head ?? 0, heads - 1);
  const values = own.array(panel.map).values.subarray(head * rows * columns, (head + 1) * rows * columns);
  const name = (each) => (each.step === null ? t("layerOf", { layer: each.layer }) : t("layerAt", { layer: each.layer, step: each.step }));
  return [
    el(
      "div",
      { class: "row" },
      select(t("which"), panels.map((each, i) => [i, name(each)]), number, (value) => ((chosen.attention = Number(value)), again())),
      heads > 1 ? choice(t("head"), [...Array(heads).keys()].map((i) => [i, `${t("head")} ${i + 1}`]), head, (value) => ((chosen.head = value), again())) : null,
    ),
    framed(bytesMap({ values, rows, columns, label: `${t("inside_attention")}: ${name(panel)}`, palette: state.palette, height: 400, width: columns === rows ? 400 : null }), t("looksFrom"), t("looksAt")),
    legend(state.palette, t("little"), t("much")),
  ];
}

function alignment(own, panels) {
  return panels.map((panel) => {
    const array = own.array(panel.map);
    const [rows, columns] = array.shape;
    const map = bytesMap({ values: array.values, rows, columns, label: t("inside_alignment"), palette: state.palette, height: Math.max(220, Math.min(460, 9 * panel.tokens)), below: true });
    const svg = el("svg", { class: "over", viewBox: `0 0 ${panel.frames} ${panel.tokens}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    let before = 0;
    const way = panel.ends.map((end, token) => {
      const y = panel.tokens - token - 0.5;
      const part = `M${before} ${y}L${end} ${y}`;
      before = end;
      return part;
    });
    svg.append(el("path", { d: way.join(""), class: "hard", "vector-effect": "non-scaling-stroke" }));
    const symbols = el("div", { class: "symbols", "aria-hidden": "true" }, [...panel.symbols].reverse().map((symbol) => el("span", {}, symbol)));
    return el("figure", { class: "framed aligned" }, el("span", { class: "vertical" }, t("tokens")), panel.symbols.length && panel.symbols.length < 60 ? symbols : null, el("div", { class: "stack" }, map, svg), el("figcaption", {}, t("framesAxis")));
  });
}

function unmasking(own, panels, chosen, again) {
  const panel = panels[0];
  const order = own.array(panel.order);
  const sure = own.array(panel.sure);
  const [rows, columns] = order.shape;
  const share = chosen.share ?? 1;
  const shown = new Uint8Array(order.values.length);
  order.values.forEach((value, i) => (shown[i] = value <= 255 * share ? Math.max(24, 255 - 0.8 * value) : 0));
  const slider = el("input", { type: "range", min: 0, max: 1, step: 0.02, value: share, "aria-label": t("shareOfWay"), onchange: () => ((chosen.share = Number(slider.value)), again()) });
  const height = Math.max(60, 22 * rows);
  const axis = rows > 1 ? t("codebooks") : "";
  return [
    el("div", { class: "row" }, el("span", {}, t("shareOfWay")), slider, el("span", {}, `${Math.round(100 * share)} %`)),
    el("h3", {}, t("order")),
    framed(bytesMap({ values: shown, rows, columns, label: t("order"), palette: "cividis", height }), axis, t("framesAxis")),
    legend("cividis", t("late"), t("early")),
    el("h3", {}, t("confidence")),
    framed(bytesMap({ values: sure.values, rows, columns, label: t("confidence"), palette: state.palette, height }), axis, t("framesAxis")),
    legend(state.palette, t("unsure"), t("sure")),
  ];
}

function certainty(own, panels) {
  return panels.flatMap((panel) => [
    lineChart({ series: [{ values: [...own.array(panel.chance).values], colour: 0 }], width: 900, height: 220, label: t("chance"), xlabel: t("token") }),
    el("p", { class: "hint" }, t("chance")),
    lineChart({ series: [{ values: [...own.array(panel.entropy).values], colour: 1 }], width: 900, height: 220, label: t("entropy"), xlabel: t("token") }),
    el("p", { class: "hint" }, t("entropy")),
  ]);
}

function codes(own, panels) {
  return panels.flatMap((panel) => {
    const array = own.array(panel.map);
    const [rows, columns] = array.shape;
    const bytes = new Uint8Array(array.values.length);
    array.values.forEach((code, i) => (bytes[i] = Math.round((255 * code) / Math.max(1, panel.size - 1))));
    const bars = panel.used.map((share, book) =>
      el(
        "div",
        { class: "bar-row" },
        el("span", {}, `${t("codebook")} ${book + 1}`),
        el("span", { class: "bar", role: "img", "aria-label": t("usedOf", { share: (100 * share).toFixed(1), size: panel.size }) }, el("span", { style: `width:${Math.max(0.5, 100 * share)}%;background:${shade("viridis", 0.35)}` })),
        el("span", {}, `${(100 * share).toFixed(1)} %`),
        el("span", { class: "hint" }, t("perplexityOf", { value: panel.perplexity[book] })),
      ),
    );
    return [
      el("h3", {}, `${panel.name} · ${panel.frames} × ${rows} · ${panel.size}`),
      el("div", { class: "bars" }, bars),
      framed(bytesMap({ values: bytes, rows, columns, label: t("codesOverTime"), palette: state.palette, height: Math.max(70, Math.min(320, 22 * rows)) }), t("codebooks"), t("framesAxis")),
    ];
  });
}

function critic(own, panels) {
  return panels.map((panel) => {
    const array = own.array(panel.map);
    const [items, rows, columns] = array.shape;
    const names = [t("recorded"), t("made")];
    return el(
      "div",
      { class: "critic" },
      el("h3", {}, `${panel.critic} ${panel.part}`),
      el(
        "div",
        { class: "grid two" },
        [...Array(items).keys()].map((item) =>
          el(
            "figure",
            { class: "framed" },
            bytesMap({ values: array.values.subarray(item * rows * columns, (item + 1) * rows * columns), rows, columns, label: `${panel.critic} ${panel.part}, ${names[item]}`, palette: "cividis", height: Math.max(36, Math.min(150, 8 * rows)), below: true }),
            el("figcaption", {}, `${names[item]} · ${t("meanScore", { value: panel.means[item] })}`),
          ),
        ),
      ),
    );
  });
}
