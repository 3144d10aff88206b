// The page: header, views by tabs, keys; one state that all views show.

import "./style.css";
import * as audio from "./audio.js";
import { PALETTES } from "./colours.js";
import { button, choice, el, select } from "./dom.js";
import { set, setStep, selectTrace, state, subscribe, trace } from "./state.js";
import { LANGUAGES, setLanguage, t } from "./strings.js";
import { embedded, Trace, TraceError } from "./trace.js";
import { endTour, startTour, touring } from "./tour.js";
import { CompareView, pinsFor } from "./views/compare.js";
import { InsideView } from "./views/inside.js";
import { MetricsView } from "./views/metrics.js";
import { PathView } from "./views/path.js";
import { hearStep, pin, runSteps, StepView } from "./views/step.js";

const VIEWS = { step: StepView, compare: CompareView, path: PathView, metrics: MetricsView, inside: InsideView };
const BASIC = ["step", "compare", "metrics"];
const MOST_TRACES = 4;
const app = document.getElementById("app");
let made = {};
let parts = {};

const shownViews = () => (state.mode === "basic" ? BASIC : Object.keys(VIEWS));

function build() {
  made = {};
  parts = {
    bar: el("header", { class: "top" }),
    tabs: el("nav", { id: "tabs", role: "tablist", "aria-label": t("views") }),
    says: el("p", { class: "says" }),
    stage: el("main", { id: "stage", role: "tabpanel" }),
    trouble: el("div", { class: "trouble", role: "alert" }),
    advanced: el("div", { class: "row advanced" }),
    foot: el("footer", {}, t("foot")),
  };
  app.replaceChildren(parts.bar, parts.trouble, el("div", { class: "under" }, parts.tabs, parts.advanced), parts.says, parts.stage, parts.foot, audio.player);
  document.documentElement.lang = state.language;
  document.documentElement.dataset.theme = state.theme;
}

function header() {
  const many = state.traces.length > 1;
  const names = state.traces.map((own, number) => [number, own.label]);
  parts.bar.replaceChildren(
    el("h1", {}, "Aoide", el("span", {}, t("explorer"))),
    many ? select(t("run"), names, state.current, (value) => selectTrace(Number(value)), { id: "trace" }) : el("span", { class: "title", title: trace()?.about.title }, trace()?.about.title ?? ""),
    el("span", { class: "space" }),
    choice(t("mode"), [["basic", t("basic")], ["advanced", t("advanced")]], state.mode, (mode) => set({ mode, view: mode === "basic" && !BASIC.includes(state.view) ? "step" : state.view }), { id: "mode" }),
    button(t("open"), openFile, { id: "open", title: t("openHelp") }),
    button(t("tour"), () => startTour(), { id: "tour" }),
    button("?", help, { id: "help", "aria-label": t("help") }),
    button(state.theme === "light" ? "☾" : "☀", () => set({ theme: state.theme === "light" ? "dark" : "light" }), { id: "theme", "aria-label": t("theme") }),
    button(state.language === "en" ? "ZH" : "EN", switchLanguage, { id: "language", title: state.language === "en" ? "中文" : "English", "aria-label": state.language === "en" ? "中文" : "English" }),
  );
}

function tabs() {
  parts.tabs.replaceChildren(
    ...shownViews().map((name, number) =>
      button([el("kbd", { "aria-hidden": "true" }, `${number + 1}`), t(`view_${name}`)], () => set({ view: name }), {
        role: "tab",
        id: `tab-${name}`,
        "aria-selected": String(state.view === name),
        "aria-controls": "stage",
      }),
    ),
  );
  const codes = state.view === "step" && trace()?.about.picture && trace().about.picture.what !== "mel";
  parts.says.textContent = t(codes ? `says_step_${trace().about.picture.what}` : `says_${state.view}`);
  parts.advanced.hidden = state.mode === "basic";
  if (state.mode === "basic") return;
  const range = (name, at) => {
    const input = el("input", { type: "range", min: 0, max: 1, step: 0.05, value: state.bands[at], "aria-label": t(name), oninput: () => moveBand(at, Number(input.value)) });
    return input;
  };
  if (!parts.advanced.childElementCount || parts.palette !== state.palette) {
    parts.palette = state.palette;
    parts.advanced.replaceChildren(
      select(t("palette"), PALETTES.map((name) => [name, t(`palette_${name}`)]), state.palette, (palette) => set({ palette }), { id: "palette" }),
      el("span", { class: "hint" }, t("bands")),
      range("bandsFrom", 0),
      range("bandsTo", 1),
    );
  }
}

function moveBand(at, value) {
  const bands = [...state.bands];
  bands[at] = value;
  if (bands[1] - bands[0] >= 0.1) set({ bands });
}

function render(changed) {
  if (!state.traces.length) return;
  if (changed.has("language") || changed.has("theme") || !parts.bar) {
    build();
    changed = new Set([...changed, "view", "current", "mode", "traces"]);
  }
  if (["traces", "current", "mode", "language", "theme"].some((key) => changed.has(key))) header();
  if (["view", "mode", "language", "palette", "traces", "current"].some((key) => changed.has(key))) tabs();
  made[state.view] ??= new VIEWS[state.view]();
  const view = made[state.view];
  if (parts.stage.firstElementChild !== view.node) parts.stage.replaceChildren(view.node);
  const drawn = view.maps && only(changed, ["cursor"]) ? "cursor" : "all";
  if (drawn === "cursor" || only(changed, ["cursor"])) cursors(view);
  else view.update(changed);
}

const only = (changed, keys) => [...changed].every((key) => keys.includes(key)) && changed.size > 0;

/** Moves the cursor alone: what is around the maps stays as it is. */
function cursors(view) {
  const maps = [view.map, view.difference, view.error, view.preview, ...(view.maps ?? []).map((each) => each.map)];
  for (const map of maps) {
    if (!map?.what) continue;
    map.what.cursor = state.cursor;
    map.later();
  }
}

function switchLanguage() {
  const next = LANGUAGES[(LANGUAGES.indexOf(state.language) + 1) % LANGUAGES.length];
  setLanguage(next);
  endTour();
  set({ language: next });
}

// ------------------------------------------------------------------------------------------------------------------ files

function trouble(error) {
  if (!parts.bar) build();
  const text = error instanceof TraceError ? t(error.key, error.details) : t("broken", { why: error.message });
  parts.trouble.replaceChildren(el("p", {}, text), button("×", () => parts.trouble.replaceChildren(), { "aria-label": t("close") }));
}

async function add(bytes, name) {
  const found = await Trace.read(bytes, name);
  const traces = [...state.traces, found].slice(-MOST_TRACES);
  start(traces, traces.length - 1);
}

function openFile() {
  const input = el("input", { type: "file", accept: ".aoide", multiple: true });
  input.addEventListener("change", () => take(input.files));
  input.click();
}

async function take(files) {
  for (const file of files) {
    try {
      await add(new Uint8Array(await file.arrayBuffer()), file.name);
    } catch (error) {
      trouble(error);
    }
  }
}

function start(traces, current = 0) {
  state.traces = traces;
  state.current = current;
  state.step = Math.max(0, traces[current].steps.length - 1);
  state.task = traces.length > 1 ? "steps" : state.task;
  state.pins = pinsFor(state.task);
  audio.load(current, traces[current].nearestSound(state.step) >= 0 ? `step:${traces[current].nearestSound(state.step)}` : "final");
  render(new Set(["traces", "current", "view", "step"]));
}

// ------------------------------------------------------------------------------------------------------------------- keys

function help() {
  const keys = ["keys_views", "keys_steps", "keys_play", "keys_hear", "keys_pin", "keys_zoom", "keys_modes", "keys_help"];
  const dialog = el(
    "dialog",
    { class: "help", "aria-label": t("help") },
    el("h2", {}, t("help")),
    el("table", {}, keys.map((key) => el("tr", {}, el("td", {}, el("kbd", {}, t(key).split("|")[0])), el("td", {}, t(key).split("|")[1])))),
    el("form", { method: "dialog" }, el("button", { class: "primary" }, t("close"))),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

const KEYS = {
  ArrowRight: () => setStep(state.step + 1),
  ArrowLeft: () => setStep(state.step - 1),
  ArrowDown: () => selectTrace((state.current + 1) % state.traces.length, state.step),
  ArrowUp: () => selectTrace((state.current + state.traces.length - 1) % state.traces.length, state.step),
  Home: () => setStep(0),
  End: () => setStep(trace().steps.length - 1),
  " ": runSteps,
  h: hearStep,
  p: pin,
  "0": () => set({ zoom: null }),
  a: () => set({ mode: state.mode === "basic" ? "advanced" : "basic" }),
  d: () => set({ theme: state.theme === "light" ? "dark" : "light" }),
  l: switchLanguage,
  "?": help,
};

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !state.traces.length) return;
  if (event.key === "Escape" && touring()) endTour();
  const target = event.target;
  const typing = target.matches?.("input:not([type=checkbox]):not([type=range]), textarea, select, dialog *");
  const own = target.matches?.("button, summary, input[type=checkbox]") && [" ", "Enter"].includes(event.key);
  const sliding = target.matches?.("input[type=range]") && event.key.startsWith("Arrow");
  if (typing || own || sliding || document.querySelector("dialog[open]")) return;
  const number = Number(event.key);
  const views = shownViews();
  if (number >= 1 && number <= views.length) set({ view: views[number - 1] });
  else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
}

// ----------------------------------------------------------------------------------------------------------------- begin

async function main() {
  state.theme = window.matchMedia?.("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  state.language = (navigator.language ?? "en").startsWith("zh") ? "zh" : "en";
  setLanguage(state.language);
  subscribe(render);
  addEventListener("keydown", key);
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  try {
    const traces = await embedded();
    if (traces.length) start(traces);
    else {
      build();
      parts.stage.replaceChildren(el("div", { class: "empty" }, el("p", {}, t("noTrace")), button(t("open"), openFile, { class: "primary" })));
    }
  } catch (error) {
    trouble(error);
  }
  requestAnimationFrame(() => requestAnimationFrame(() => {
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
  }));
}

main();
