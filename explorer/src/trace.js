// A trace as the page uses it: what was run, arrays that are unpacked when first looked at, sounds as addresses.

import { open, ZipError } from "./zip.js";

export const VERSION = 1;

/** What cannot be shown, with the key of the sentence that says so. */
export class TraceError extends Error {
  constructor(key, details = {}) {
    super(key);
    this.key = key;
    this.details = details;
  }
}

export class Trace {
  constructor(about, members, name) {
    this.about = about;
    this.members = members;
    this.name = name;
    this.cache = new Map();
    this.addresses = new Map();
    this.settings = about.settings ?? {};
    this.steps = about.steps ?? [];
    this.inside = about.inside ?? [];
  }

  static async read(bytes, name) {
    let members;
    try {
      members = open(bytes);
    } catch (error) {
      if (error instanceof ZipError) throw new TraceError("notTrace", { name });
      throw error;
    }
    if (!members["trace.json"]) throw new TraceError("notTrace", { name });
    let about;
    try {
      about = JSON.parse(new TextDecoder().decode(await members["trace.json"].read()));
    } catch {
      throw new TraceError("notTrace", { name });
    }
    if (about.format !== "aoide-trace") throw new TraceError("notTrace", { name });
    if (!(about.version <= VERSION)) {
      throw new TraceError("newer", { name, version: String(about.version), aoide: String(about.aoide ?? "?") });
    }
    const trace = new Trace(about, members, name);
    await trace.prepare();
    return trace;
  }

  /** Unpacks everything: some 20 ms a megabyte, so that no view ever waits. */
  async prepare() {
    const names = Object.keys(this.about.arrays ?? {});
    const sounds = this.about.sounds ?? [];
    await Promise.all([
      ...names.map(async (name) => this.cache.set(name, await this.load(name))),
      ...sounds.map(async (name) => {
        const member = this.members[`sounds/${name}`];
        if (member) this.addresses.set(name, URL.createObjectURL(new Blob([await member.read()], { type: "audio/ogg" })));
      }),
    ]);
  }

  async load(name) {
    const about = this.about.arrays[name];
    const member = this.members[`arrays/${name}`];
    if (!about || !member) throw new TraceError("notTrace", { name: this.name });
    const bytes = await member.read();
    const count = about.shape.reduce((a, b) => a * b, 1);
    const width = { u1: 1, f2: 2, i4: 4 }[about.kind];
    if (bytes.length !== count * width) throw new TraceError("notTrace", { name: this.name });
    let values = bytes;
    if (about.kind === "i4") values = new Int32Array(bytes.slice().buffer);
    if (about.kind === "f2") values = halves(new Uint16Array(bytes.slice().buffer));
    return { kind: about.kind, shape: about.shape, low: about.low ?? 0, high: about.high ?? 1, values };
  }

  /** {kind, shape, low, high, values}: values of u1 are bytes between low and high. */
  array(name) {
    return this.cache.get(name);
  }

  sound(name) {
    return this.addresses.get(name);
  }

  get seconds() {
    return this.about.seconds || this.about.final?.seconds || 1;
  }

  get label() {
    return this.about.label || this.about.title || this.about.model || this.name;
  }

  /** The picture of a step: {values, rows: bands, columns: frames, low, high} with frames varying slowest. */
  picture(step) {
    const about = this.about.picture;
    if (!about) return null;
    const array = this.array(about.array);
    const [steps, frames, bands] = array.shape;
    const number = Math.max(0, Math.min(step, steps - 1));
    const values = array.values.subarray(number * frames * bands, (number + 1) * frames * bands);
    return { values, frames, bands, low: array.low, high: array.high, shown: [about.low, about.high], seconds: this.seconds };
  }

  /** The picture of the reference recording, where there is one. */
  referencePicture() {
    const about = this.about.reference;
    if (!about) return null;
    const array = this.array(about.array);
    const [frames, bands] = array.shape;
    const shown = this.about.picture?.what === "mel" ? [this.about.picture.low, this.about.picture.high] : [array.low, array.high];
    return { values: array.values, frames, bands, low: array.low, high: array.high, shown, seconds: about.seconds };
  }

  f0(step) {
    const name = this.steps[step]?.f0;
    return name ? this.array(name).values : null;
  }

  /** The step with a sound that is nearest to a step, or -1. */
  nearestSound(step) {
    let best = -1;
    this.steps.forEach((each, number) => {
      if (each.sound && (best < 0 || Math.abs(number - step) < Math.abs(best - step))) best = number;
    });
    return best;
  }
}

function halves(raw) {
  const out = new Float32Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) {
    const h = raw[i];
    const sign = h & 0x8000 ? -1 : 1;
    const exponent = (h >> 10) & 31;
    const fraction = h & 1023;
    if (exponent === 0) out[i] = sign * 2 ** -14 * (fraction / 1024);
    else if (exponent === 31) out[i] = fraction ? NaN : sign * Infinity;
    else out[i] = sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
  }
  return out;
}

/** The traces that were put into the page. */
export async function embedded() {
  const nodes = [...document.querySelectorAll("script[type='application/x-aoide']")];
  return Promise.all(
    nodes.map(async (node) => {
      const text = node.textContent.trim();
      const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      return Trace.read(bytes, node.dataset.name ?? "trace");
    }),
  );
}
