// Reads a zip archive in memory: the directory at its end, and members stored or deflated, unpacked by the browser.

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const MOST_MEMBERS = 2000;
const MOST_BYTES = 256 << 20;

export class ZipError extends Error {}

/** The members of an archive by name: {name: {size, read: () => Promise<Uint8Array>}}. */
export function open(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = bytes.byteLength - 22;
  while (at >= 0 && at > bytes.byteLength - 65600 && view.getUint32(at, true) !== END) at -= 1;
  if (at < 0 || view.getUint32(at, true) !== END) throw new ZipError("not a zip archive");
  const count = view.getUint16(at + 10, true);
  if (count > MOST_MEMBERS) throw new ZipError("too many members");
  let place = view.getUint32(at + 16, true);
  let total = 0;
  const members = {};
  for (let i = 0; i < count; i += 1) {
    if (place + 46 > bytes.byteLength || view.getUint32(place, true) !== ENTRY) throw new ZipError("damaged directory");
    const method = view.getUint16(place + 10, true);
    const packed = view.getUint32(place + 20, true);
    const size = view.getUint32(place + 24, true);
    const name = view.getUint16(place + 28, true);
    const extra = view.getUint16(place + 30, true);
    const comment = view.getUint16(place + 32, true);
    const start = view.getUint32(place + 42, true);
    const title = new TextDecoder().decode(bytes.subarray(place + 46, place + 46 + name));
    total += size;
    if (total > MOST_BYTES) throw new ZipError("larger than a trace can be");
    members[title] = { size, read: () => unpack(bytes, view, { start, packed, size, method }) };
    place += 46 + name + extra + comment;
  }
  return members;
}

async function unpack(bytes, view, { start, packed, size, method }) {
  if (start + 30 > bytes.byteLength) throw new ZipError("damaged member");
  const from = start + 30 + view.getUint16(start + 26, true) + view.getUint16(start + 28, true);
  const data = bytes.subarray(from, from + packed);
  if (method === 0) return data;
  if (method !== 8) throw new ZipError(`compression ${method} is not known`);
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const found = new Uint8Array(await new Response(stream).arrayBuffer());
  if (found.length !== size) throw new ZipError("a member is longer or shorter than it says");
  return found;
}
