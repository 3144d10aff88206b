// Colour scales that are even to the eye and read by those who do not tell red from green.

const STOPS = {
  viridis: ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  cividis: ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"],
  grey: ["#0d0d0d", "#404040", "#737373", "#a6a6a6", "#d9d9d9", "#fafafa"],
  difference: ["#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"],
};
export const PALETTES = ["viridis", "cividis", "grey"];

// Okabe and Ito 2008
export const LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
export const DASHES = ["", "7 3", "2 3", "9 3 2 3"];

const tables = new Map();
const parse = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** 256 colours as bytes red, green, blue. */
export function table(name) {
  if (!tables.has(name)) {
    const stops = STOPS[name].map(parse);
    const out = new Uint8Array(256 * 3);
    for (let i = 0; i < 256; i += 1) {
      const at = (i / 255) * (stops.length - 1);
      const low = Math.min(stops.length - 2, Math.floor(at));
      for (let c = 0; c < 3; c += 1) {
        out[3 * i + c] = Math.round(stops[low][c] + (at - low) * (stops[low + 1][c] - stops[low][c]));
      }
    }
    tables.set(name, out);
  }
  return tables.get(name);
}

/** A colour of a scale, for a share of 0 to 1. */
export function shade(name, share) {
  const at = 3 * Math.round(255 * Math.max(0, Math.min(1, share)));
  const colours = table(name);
  return `rgb(${colours[at]},${colours[at + 1]},${colours[at + 2]})`;
}

export const gradient = (name) => `linear-gradient(to right, ${STOPS[name].join(",")})`;
