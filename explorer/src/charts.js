// Small charts of lines and points, as SVG with axes.

import { axisBottom, axisLeft } from "d3-axis";
import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import { line } from "d3-shape";
import { zoom, zoomIdentity } from "d3-zoom";
import { DASHES, LINES, shade } from "./colours.js";
import { el } from "./dom.js";

const MARGIN = { left: 44, right: 12, top: 10, bottom: 36 };

/** series: [{values, xs?, name, colour number}], marks: where each series stands now. */
export function lineChart({ series, width, height, label, xlabel = "", current = null, onpick = null, small = false }) {
  const margin = small ? { left: 34, right: 6, top: 6, bottom: 18 } : MARGIN;
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart" });
  const points = series.flatMap((s) => s.values.map((v, i) => [s.xs ? s.xs[i] : i + 1, v])).filter(([, v]) => v !== null && Number.isFinite(v));
  if (!points.length) return svg;
  const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
  const [least, most] = [Math.min(...ys), Math.max(...ys)];
  const room = (most - least) * 0.06 || Math.abs(most) * 0.1 || 1;
  const x = scaleLinear([Math.min(...xs), Math.max(...xs)], [margin.left, width - margin.right]);
  const y = scaleLinear([least - room, most + room], [height - margin.bottom, margin.top]);
  const root = select(svg);
  root
    .append("g")
    .attr("class", "axis")
    .attr("transform", `translate(0,${height - margin.bottom})`)
    .call(axisBottom(x).ticks(small ? 4 : Math.min(8, width / 60)).tickSizeOuter(0));
  root.append("g").attr("class", "axis").attr("transform", `translate(${margin.left},0)`).call(axisLeft(y).ticks(small ? 3 : 5).tickSizeOuter(0));
  if (xlabel && !small) {
    root.append("text").attr("class", "axis-name").attr("x", width - margin.right).attr("y", height - 3).attr("text-anchor", "end").text(xlabel);
  }
  series.forEach((each, number) => {
    const colour = LINES[(each.colour ?? number) % LINES.length];
    const own = each.values.map((v, i) => [each.xs ? each.xs[i] : i + 1, v]).filter(([, v]) => v !== null && Number.isFinite(v));
    root
      .append("path")
      .attr("fill", "none")
      .attr("stroke", colour)
      .attr("stroke-width", 2)
      .attr("stroke-dasharray", DASHES[(each.colour ?? number) % DASHES.length])
      .attr("d", line((p) => x(p[0]), (p) => y(p[1]))(own));
    if (own.length <= 24) {
      for (const p of own) root.append("circle").attr("cx", x(p[0])).attr("cy", y(p[1])).attr("r", small ? 1.8 : 2.6).attr("fill", colour);
    }
  });
  if (current !== null) {
    const at = x(Math.max(Math.min(...xs), Math.min(Math.max(...xs), current)));
    root.append("line").attr("class", "now").attr("x1", at).attr("x2", at).attr("y1", margin.top).attr("y2", height - margin.bottom);
  }
  if (onpick) {
    svg.classList.add("clickable");
    svg.addEventListener("click", (event) => {
      const rect = svg.getBoundingClientRect();
      const value = x.invert(((event.clientX - rect.left) / rect.width) * width);
      const nearest = xs.reduce((best, each) => (Math.abs(each - value) < Math.abs(best - value) ? each : best), xs[0]);
      onpick(nearest);
    });
  }
  return svg;
}

/** Scales that fill the chart with a path; the second axis is stretched by 2.5 at most, so that its size still tells. */
function fitted(points, width, height, pad) {
  const ends = [0, 1].map((axis) => {
    const values = points.filter((_, i) => i % 2 === axis);
    return [Math.min(...values), Math.max(...values)];
  });
  const [wide, high] = ends.map(([a, b]) => b - a || 1e-6);
  const across = Math.min((width - 2 * pad) / wide, ((height - 2 * pad) / high) * 2.5);
  const up = Math.min((height - 2 * pad) / high, 2.5 * across);
  const middle = ends.map(([a, b]) => (a + b) / 2);
  return { x: (v) => width / 2 + (v - middle[0]) * across, y: (v) => height / 2 - (v - middle[1]) * up };
}

/** points: Float32Array of pairs; onpick(index), onhover(index or null). */
export function pathChart({ points, width, height, label, current, onpick, onhover = null, small = false, names = null }) {
  const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart path clickable" });
  const count = points.length / 2;
  const pad = small ? 12 : 40;
  const { x, y } = fitted(points, width, height, pad);
  const at = (i) => [x(points[2 * i]), y(points[2 * i + 1])];
  const layer = el("g");
  svg.append(layer);
  const root = select(layer);
  root
    .append("path")
    .attr("class", "way")
    .attr("d", line()([...Array(count).keys()].map(at)));
  for (let i = 0; i < count; i += 1) {
    const [cx, cy] = at(i);
    const dot = el("circle", {
      cx,
      cy,
      r: i === current ? (small ? 5 : 8) : small ? 2.6 : 5,
      fill: shade("viridis", count > 1 ? i / (count - 1) : 0),
      class: i === current ? "dot now" : "dot",
      "data-index": i,
    });
    dot.append(Object.assign(document.createElementNS("http://www.w3.org/2000/svg", "title"), { textContent: names?.[i] ?? `${i + 1}` }));
    if (onhover) {
      dot.addEventListener("pointerenter", () => onhover(i));
      dot.addEventListener("pointerleave", () => onhover(null));
    }
    layer.append(dot);
  }
  const now = layer.querySelector(".now");
  if (now) layer.append(now);
  if (!small) {
    for (const i of [0, count - 1]) {
      const [cx, cy] = at(i);
      const left = cx > width / 2;
      root.append("text").attr("class", "end").attr("x", cx + (left ? -12 : 12)).attr("y", cy - 12).attr("text-anchor", left ? "end" : "start").text(names?.[i] ?? "");
    }
    select(svg).call(zoom().scaleExtent([1, 40]).on("zoom", ({ transform }) => {
      layer.setAttribute("transform", transform);
      layer.style.setProperty("--inverse", 1 / transform.k);
    })).on("dblclick.zoom", () => select(svg).call(zoom().transform, zoomIdentity));
  }
  svg.addEventListener("click", (event) => {
    const rect = svg.getBoundingClientRect();
    const place = new DOMPoint(((event.clientX - rect.left) / rect.width) * width, ((event.clientY - rect.top) / rect.height) * height);
    const matrix = layer.transform.baseVal.consolidate()?.matrix;
    const inside = matrix ? place.matrixTransform(new DOMMatrix([matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f]).inverse()) : place;
    let best = 0;
    let least = Infinity;
    for (let i = 0; i < count; i += 1) {
      const [px, py] = at(i);
      const far = (px - inside.x) ** 2 + (py - inside.y) ** 2;
      if (far < least) [best, least] = [i, far];
    }
    onpick(best);
  });
  return svg;
}
