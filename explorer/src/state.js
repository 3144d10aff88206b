// What all views share: which trace and step is looked at, what is compared, the part of time that is shown.

const listeners = new Set();

export const state = {
  traces: [],
  current: 0, // the trace
  step: 0,
  view: "step",
  mode: "basic", // or advanced
  task: "steps", // what is compared: steps, metric, source, song, singer
  language: "en",
  theme: "light",
  palette: "viridis",
  showF0: true,
  bands: [0, 1], // shares of the bands that are shown
  zoom: null, // [from, to] seconds; null: all
  cursor: null, // seconds
  playing: false, // whether the steps run
  pins: [], // what is compared: {trace, step}
  pair: [0, 1], // which two pins the difference map shows
  space: 0, // of the path
  panel: 0, // inside
  metric: null, // the one that is looked at
};

export const trace = () => state.traces[state.current];

export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Changes the state and tells what has changed. */
export function set(changes) {
  const changed = Object.keys(changes).filter((key) => state[key] !== changes[key]);
  Object.assign(state, changes);
  if (changed.length) for (const listener of [...listeners]) listener(new Set(changed));
}

/** Goes to a step by hand, which ends a run through them. */
export function setStep(step) {
  const last = Math.max(0, (trace()?.steps.length ?? 1) - 1);
  set({ step: Math.max(0, Math.min(last, step)), playing: false });
}

export function selectTrace(number, step = null) {
  if (!state.traces[number]) return;
  const steps = state.traces[number].steps.length;
  set({ playing: false, current: number, step: Math.max(0, Math.min(step ?? steps - 1, steps - 1)) });
}
