// A guided tour: a few sentences, each beside what it is about.

import { button, el } from "./dom.js";
import { set } from "./state.js";
import { t } from "./strings.js";

const STOPS = [
  ["#tabs", "tour_views", "step"],
  ["#step-slider", "tour_slider", "step"],
  ["#hear", "tour_hear", "step"],
  [".view.compare .grid", "tour_compare", "compare"],
  [".view.path-view .grid", "tour_path", "path"],
  [".view.metrics .grid", "tour_metrics", "metrics"],
  [".view.inside .panels", "tour_inside", "inside"],
  ["#mode", "tour_mode", "step"],
];

let card = null;

export function endTour() {
  card?.remove();
  card = null;
  document.querySelector(".toured")?.classList.remove("toured");
}

export const touring = () => card !== null;

export function startTour(number = 0) {
  endTour();
  const [selector, key, view] = STOPS[number];
  set({ view, mode: "advanced", playing: false });
  const target = document.querySelector(selector);
  target?.classList.add("toured");
  target?.scrollIntoView({ block: "center" });
  const next = () => (number + 1 < STOPS.length ? startTour(number + 1) : endTour());
  card = el(
    "div",
    { class: "tour", role: "dialog", "aria-label": t("tour") },
    el("p", {}, t(key)),
    el(
      "div",
      { class: "row" },
      el("span", { class: "hint" }, `${number + 1} / ${STOPS.length}`),
      number ? button(t("back"), () => startTour(number - 1)) : null,
      button(number + 1 < STOPS.length ? t("next") : t("done"), next, { class: "primary", id: "tour-next" }),
      button(t("leave"), endTour),
    ),
  );
  document.body.append(card);
  place(card, target);
  card.querySelector("#tour-next").focus({ preventScroll: true });
}

function place(node, target) {
  const rect = target?.getBoundingClientRect() ?? { left: 20, bottom: 80, top: 60, width: 0 };
  const { offsetWidth: width, offsetHeight: height } = node;
  const left = Math.max(12, Math.min(window.innerWidth - width - 12, rect.left + rect.width / 2 - width / 2));
  const under = rect.bottom + 14;
  const top = under + height < window.innerHeight ? under : Math.max(12, rect.top - height - 14);
  node.style.left = `${left}px`;
  node.style.top = `${top}px`;
}
