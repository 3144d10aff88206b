// A map of numbers over time on a canvas, with axes, F0 on a scale of its own, a cursor, and zoom by dragging.

import { shade, table } from "./colours.js";
import { el } from "./dom.js";
import { t } from "./strings.js";

const LEFT = 44;
const RIGHT = 38;
const BOTTOM = 22;
const TOP = 6;
const F0_LOW = 60; // Hz, of the scale of F0: four octaves, since on that of the bands a melody is flat
const F0_OCTAVES = 4;
const TICKS = [125, 250, 500, 1000, 2000, 4000, 8000, 16000];

const toMel = (hz, scale) => {
  if (scale === "htk") return 2595 * Math.log10(1 + hz / 700);
  return hz < 1000 ? hz / (200 / 3) : 15 + (Math.log(hz / 1000) * 27) / Math.log(6.4);
};
const fromMel = (mel, scale) => {
  if (scale === "htk") return 700 * (10 ** (mel / 2595) - 1);
  return mel < 15 ? mel * (200 / 3) : 1000 * Math.exp(((mel - 15) * Math.log(6.4)) / 27);
};

/** The band, as a real number, in which a frequency lies. */
export function bandOf(hz, mel) {
  const low = toMel(mel.fmin, mel.scale);
  const high = toMel(mel.fmax, mel.scale);
  return ((toMel(hz, mel.scale) - low) / (high - low)) * (mel.n_mels + 1) - 1;
}

export function hzOf(band, mel) {
  const low = toMel(mel.fmin, mel.scale);
  const high = toMel(mel.fmax, mel.scale);
  return fromMel(low + ((band + 1) / (mel.n_mels + 1)) * (high - low), mel.scale);
}

export class Heatmap {
  /** handlers: onzoom([from, to] or null), onpick(seconds). compact: no axes. */
  constructor({ label, height = 260, onzoom = null, onpick = null, compact = false, describe = null }) {
    this.handlers = { onzoom, onpick, describe };
    this.compact = compact;
    this.canvas = el("canvas", { role: "img", "aria-label": label });
    this.note = compact ? null : el("p", { class: "reading", "aria-hidden": "true" }, "\u00a0");
    this.node = el("div", { class: `heatmap${compact ? " compact" : ""}`, style: `--height:${height}px` }, this.canvas, this.note);
    this.frame = 0;
    this.observer = new ResizeObserver(() => this.later());
    this.observer.observe(this.canvas);
    this.listen();
  }

  /** what: {picture, mel, palette, bands, zoom, cursor, f0, f0Seconds, other (to subtract), unit, name} */
  draw(what) {
    this.what = what;
    if (what.name) this.canvas.setAttribute("aria-label", what.name);
    this.later();
  }

  later() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  box() {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const side = this.compact ? [0, 0, 0, 0] : [LEFT, this.what?.f0 ? RIGHT : 8, TOP, BOTTOM];
    return { ratio, width, height, left: side[0], right: width - side[1], top: side[2], bottom: height - side[3] };
  }

  window() {
    const { picture, zoom } = this.what;
    const [from, to] = zoom ?? [0, picture.seconds];
    return [Math.max(0, Math.min(from, picture.seconds)), Math.max(1e-3, to)];
  }

  paint() {
    if (!this.what?.picture || !this.canvas.clientWidth) return;
    const box = this.box();
    this.canvas.width = Math.round(box.width * box.ratio);
    this.canvas.height = Math.round(box.height * box.ratio);
    const context = this.canvas.getContext("2d");
    context.scale(box.ratio, box.ratio);
    this.cells(context, box);
    if (!this.compact) this.axes(context, box);
    if (this.what.f0) this.melody(context, box);
    const [from, to] = this.window();
    const at = (time) => box.left + ((time - from) / (to - from)) * (box.right - box.left);
    if (this.what.cursor !== null && this.what.cursor !== undefined && this.what.cursor >= from && this.what.cursor <= to) {
      context.fillStyle = "#fff";
      context.fillRect(at(this.what.cursor) - 1, box.top, 2, box.bottom - box.top);
    }
    if (this.drag && Math.abs(this.drag.to - this.drag.from) > 3) {
      context.fillStyle = "rgba(255,255,255,.3)";
      context.fillRect(Math.min(this.drag.from, this.drag.to), box.top, Math.abs(this.drag.to - this.drag.from), box.bottom - box.top);
    }
  }

  cells(context, box) {
    const { picture, palette, bands = [0, 1], other } = this.what;
    const [from, to] = this.window();
    const perSecond = picture.frames / picture.seconds;
    const first = Math.max(0, Math.floor(from * perSecond));
    const last = Math.min(picture.frames, Math.max(first + 1, Math.ceil(to * perSecond)));
    const low = Math.floor(bands[0] * picture.bands);
    const high = Math.max(low + 1, Math.ceil(bands[1] * picture.bands));
    const width = last - first;
    const height = high - low;
    const image = new ImageData(width, height);
    const colours = table(other ? "difference" : (palette ?? "viridis"));
    const code = this.coding(picture, other, perSecond);
    for (let x = 0; x < width; x += 1) {
      for (let y = 0; y < height; y += 1) {
        const value = 3 * code(first + x, low + y);
        const at = 4 * ((height - 1 - y) * width + x);
        image.data[at] = colours[value];
        image.data[at + 1] = colours[value + 1];
        image.data[at + 2] = colours[value + 2];
        image.data[at + 3] = 255;
      }
    }
    const sheet = new OffscreenCanvas(width, height);
    sheet.getContext("2d").putImageData(image, 0, 0);
    const scale = (box.right - box.left) / (to - from);
    context.imageSmoothingEnabled = width > box.right - box.left;
    context.fillStyle = shade(other ? "difference" : (palette ?? "viridis"), other ? 0.5 : 0);
    context.fillRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    context.clip();
    context.drawImage(sheet, box.left + (first / perSecond - from) * scale, box.top, (width / perSecond) * scale, box.bottom - box.top);
    context.restore();
  }

  /** (frame, band) -> number of a colour. */
  coding(picture, other, perSecond) {
    const { values, bands, low, high, shown = [low, high] } = picture;
    const slope = (high - low) / 255;
    if (other) {
      const theirs = other.frames / other.seconds / perSecond;
      const slope2 = (other.high - other.low) / 255;
      const reach = this.what.reach ?? ((shown[1] - shown[0]) / 2 || 1);
      return (frame, band) => {
        const there = Math.round(frame * theirs);
        if (there >= other.frames || band >= other.bands) return 127;
        const a = low + slope * values[frame * bands + band];
        const b = other.low + slope2 * other.values[there * other.bands + band];
        return Math.max(0, Math.min(255, Math.round(127.5 + (127.5 * (a - b)) / reach)));
      };
    }
    const codes = new Uint8Array(256);
    for (let v = 0; v < 256; v += 1) {
      codes[v] = Math.max(0, Math.min(255, Math.round((255 * (low + slope * v - shown[0])) / (shown[1] - shown[0] || 1))));
    }
    return (frame, band) => codes[values[frame * bands + band]];
  }

  axes(context, box) {
    const style = getComputedStyle(this.canvas);
    const { picture, mel, bands = [0, 1], f0 } = this.what;
    const [from, to] = this.window();
    context.fillStyle = style.color;
    context.strokeStyle = style.color;
    context.font = `11px ${style.fontFamily}`;
    context.textAlign = "center";
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60].find((s) => (to - from) / s <= Math.max(3, box.width / 90)) ?? 60;
    for (let time = Math.ceil(from / step) * step; time <= to + 1e-9; time += step) {
      const x = box.left + ((time - from) / (to - from)) * (box.right - box.left);
      context.fillRect(x, box.bottom, 1, 4);
      context.fillText(`${Number(time.toFixed(2))}`, Math.min(x, box.right - 8), box.bottom + 15);
    }
    context.textAlign = "left";
    context.fillText("s", box.right + 3, box.bottom + 15);
    if (f0) {
      for (const hz of [100, 200, 400, 800]) {
        const y = box.bottom - (Math.log2(hz / F0_LOW) / F0_OCTAVES) * (box.bottom - box.top);
        context.fillText(`${hz}`, box.right + 5, y + 4);
      }
    }
    if (!mel) return;
    context.textAlign = "right";
    let above = Infinity;
    for (const hz of TICKS) {
      const share = (bandOf(hz, mel) + 0.5) / picture.bands;
      if (share < bands[0] || share > bands[1]) continue;
      const y = box.bottom - ((share - bands[0]) / (bands[1] - bands[0])) * (box.bottom - box.top);
      if (above - y < 13) continue;
      above = y;
      context.fillRect(box.left - 4, y, 4, 1);
      context.fillText(hz >= 1000 ? `${hz / 1000}k` : `${hz}`, box.left - 7, y + 4);
    }
  }

  melody(context, box) {
    const { f0, picture } = this.what;
    const [from, to] = this.window();
    const length = this.what.f0Seconds ?? picture.seconds;
    const places = [];
    f0.forEach((hz, frame) => {
      const time = ((frame + 0.5) / f0.length) * length;
      if (time < from || time > to) return;
      const x = box.left + ((time - from) / (to - from)) * (box.right - box.left);
      const y = box.bottom - (Math.log2(hz / F0_LOW) / F0_OCTAVES) * (box.bottom - box.top);
      places.push(hz > 0 ? [x, Math.max(box.top + 2, Math.min(box.bottom - 2, y))] : null);
    });
    for (const [width, colour] of [[5, "rgba(0,0,0,.65)"], [2.2, "#fff"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.lineJoin = "round";
      context.beginPath();
      let open = false;
      for (const place of places) {
        if (!place) open = false;
        else if (open) context.lineTo(...place);
        else {
          context.moveTo(...place);
          context.lineTo(place[0] + 0.5, place[1]);
          open = true;
        }
      }
      context.stroke();
    }
  }

  // ------------------------------------------------------------------------------------------------------------ hands

  timeAt(x) {
    const box = this.box();
    const [from, to] = this.window();
    return from + (Math.max(0, Math.min(1, (x - box.left) / (box.right - box.left))) * (to - from));
  }

  listen() {
    const { onzoom, onpick } = this.handlers;
    if (!onzoom && !onpick) return;
    const x = (event) => event.clientX - this.canvas.getBoundingClientRect().left;
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.drag = { from: x(event), to: x(event) };
    });
    this.canvas.addEventListener("pointermove", (event) => {
      this.read(event);
      if (!this.drag) return;
      this.drag.to = x(event);
      this.later();
    });
    this.canvas.addEventListener("pointerup", () => {
      const drag = this.drag;
      this.drag = null;
      if (!drag || !this.what?.picture) return;
      if (onzoom && Math.abs(drag.to - drag.from) > 8) {
        const [from, to] = [this.timeAt(Math.min(drag.from, drag.to)), this.timeAt(Math.max(drag.from, drag.to))];
        if (to - from > 0.02) onzoom([from, to]);
      } else if (onpick) onpick(this.timeAt(drag.from));
      this.later();
    });
    this.canvas.addEventListener("pointercancel", () => (this.drag = null));
    this.canvas.addEventListener("dblclick", () => onzoom?.(null));
  }

  read(event) {
    if (!this.note || !this.what?.picture) return;
    const box = this.box();
    const { picture, mel, bands = [0, 1], unit = "" } = this.what;
    const rect = this.canvas.getBoundingClientRect();
    const share = 1 - (event.clientY - rect.top - box.top) / (box.bottom - box.top);
    const band = Math.floor((bands[0] + share * (bands[1] - bands[0])) * picture.bands);
    if (band < 0 || band >= picture.bands) return;
    const time = this.timeAt(event.clientX - rect.left);
    const frame = Math.min(picture.frames - 1, Math.floor((time / picture.seconds) * picture.frames));
    const value = picture.low + ((picture.high - picture.low) * picture.values[frame * picture.bands + band]) / 255;
    const where = this.handlers.describe?.(band) ?? (mel ? `${Math.round(hzOf(band, mel))} Hz` : `${t("row")} ${band + 1}`);
    this.note.textContent = `${time.toFixed(2)} s · ${where} · ${value.toFixed(2)}${unit ? ` ${unit}` : ""}`;
  }
}
