/** What the writers that are killed write. */
const BYTES = 512;

/** Record number `index`: its number, over and over. */
export function recordOf(index: number): Uint8Array {
  return new Uint8Array(new Uint32Array(BYTES / 4).fill(index).buffer);
}

/** Records at the front of some bytes that are whole and in their place. */
export function recordsIn(bytes: Uint8Array): number {
  const numbers = new Uint32Array(bytes.slice(0, bytes.length - (bytes.length % BYTES)).buffer);
  const wrong = numbers.findIndex((number, at) => number !== Math.floor((at * 4) / BYTES));
  return Math.floor(((wrong < 0 ? numbers.length : wrong) * 4) / BYTES);
}
