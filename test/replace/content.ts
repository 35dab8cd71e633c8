/** Content that knows whether it is whole. */

/** The content of a turn: its length and every byte follow from the number. */
export function contentOf(turn: number): Buffer {
  return Buffer.alloc(4096 + ((turn * 7919) % 60_000), `${turn};`);
}

/** The turn that wrote these bytes. Errors: when they are not all of them and nothing else. */
export function turnOf(bytes: Uint8Array): number {
  const turn = Number.parseInt(Buffer.from(bytes.subarray(0, 16)).toString('latin1'), 10);
  if (Number.isNaN(turn) || !contentOf(turn).equals(bytes)) {
    throw new Error(`torn: ${bytes.length} bytes that begin with turn ${turn}`);
  }
  return turn;
}
