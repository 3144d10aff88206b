// One player for all: sounds of steps, of references, of what came out; it moves the cursor that all views show.

import { set, state, subscribe } from "./state.js";

const audio = new Audio();
audio.id = "player";
audio.preload = "auto";
export const player = audio;
let playing = null; // {trace, key}

/** What a sound is called: "step:3", "reference" or "final". */
export function address(trace, key) {
  if (key === "reference") return trace.sound(trace.about.reference?.sound);
  if (key === "final") return trace.sound(trace.about.final?.sound);
  return trace.sound(trace.steps[Number(key.slice(5))]?.sound);
}

export function load(number, key) {
  const source = address(state.traces[number], key);
  if (!source) return false;
  if (audio.src !== source) audio.src = source;
  playing = { trace: number, key };
  return true;
}

export function play(number, key, from = null) {
  if (!load(number, key)) return;
  const start = from ?? (state.zoom ? state.zoom[0] : 0);
  const begin = () => {
    if (start < audio.duration || !Number.isFinite(audio.duration)) audio.currentTime = start;
    audio.play().catch(() => {}); // a browser may want a click first; then the button is there
  };
  if (audio.readyState >= 1) begin();
  else audio.addEventListener("loadedmetadata", begin, { once: true });
}

export const stop = () => audio.pause();
export const isPlaying = (number, key) => !audio.paused && playing?.trace === number && playing?.key === key;

export function seek(seconds) {
  set({ cursor: seconds });
  if (!audio.paused) audio.currentTime = seconds;
}

function follow() {
  if (audio.paused) return;
  if (state.zoom && audio.currentTime > state.zoom[1]) audio.pause();
  set({ cursor: audio.currentTime });
  requestAnimationFrame(follow);
}

audio.addEventListener("play", () => {
  set({ sounding: playing });
  follow();
});
for (const event of ["pause", "ended"]) audio.addEventListener(event, () => set({ sounding: null }));
subscribe((changed) => {
  if (changed.has("current") && !audio.paused) audio.pause();
});
