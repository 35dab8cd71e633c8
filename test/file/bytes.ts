/** Bytes for tests: sequences whose every byte tells where it belongs, and ways to cut them. */

/** `length` bytes, none like its neighbours: a shift or a gap shows. */
export function patterned(length: number, start = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    const place = start + index;
    bytes[index] = (place * 31 + (place >>> 8) * 7 + (place >>> 16)) & 0xff;
  }
  return bytes;
}

/** Cuts bytes into views of these lengths; what is left over is a view of its own. */
export function cutInto(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const views: Uint8Array[] = [];
  let done = 0;
  for (const length of lengths) {
    views.push(bytes.subarray(done, done + length));
    done = Math.min(done + length, bytes.length);
  }
  if (done < bytes.length) views.push(bytes.subarray(done));
  return views;
}

/** Cuts bytes into views of one length. */
export function cutEvery(bytes: Uint8Array, length: number): Uint8Array[] {
  return cutInto(bytes, new Array<number>(Math.ceil(bytes.length / length)).fill(length));
}

/** The split that the bits of `mask` name: a bit set is a cut after that byte. */
export function splitBy(mask: number, bytes: Uint8Array): Uint8Array[] {
  const views: Uint8Array[] = [];
  let start = 0;
  for (let index = 0; index < bytes.length; index++) {
    const isLast = index === bytes.length - 1;
    if (!isLast && (mask & (1 << index)) === 0) continue;
    views.push(bytes.subarray(start, index + 1));
    start = index + 1;
  }
  return views;
}

/** One run of bytes out of several. */
export function joined(views: readonly Uint8Array[]): Buffer {
  return Buffer.concat(views);
}

/** The seed of a random test: HOLDFAST_SEED, or a fresh one; either way it is to be printed. */
export function seedOf(t: { diagnostic(line: string): void }): number {
  const given = process.env.HOLDFAST_SEED;
  const seed = given === undefined ? Math.floor(Math.random() * 0x7fffffff) : Number(given);
  t.diagnostic(`HOLDFAST_SEED=${seed}`);
  return seed;
}
