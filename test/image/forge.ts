/** Images changed by a forger who knows the format: every checksum is right, the rest is not. */
import { crc32c } from '#holdfast/bytes.js';

const BLOCK = 65536;

/** Where the parts of an image are, by its trailer. */
export function partsOf(image: Uint8Array) {
  const data = new DataView(image.buffer, image.byteOffset, image.length);
  const trailer = image.length - 64;
  const end = Number(data.getBigUint64(trailer + 16, true));
  const description = data.getUint32(trailer + 24, true);
  const sections = data.getUint32(trailer + 28, true);
  const table = end + Math.ceil(description / 8) * 8;
  const root = Number(data.getBigUint64(trailer + 8, true));
  return { data, trailer, end, description, sections, table, sums: table + sections * 32, root };
}

/** Makes the checksum of the trailer right, which is at an offset. */
export function seal(bytes: Uint8Array, trailer: number): void {
  const sum = crc32c(bytes.subarray(trailer, trailer + 52));
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(trailer + 52, sum, true);
}

/** Makes all checksums of a changed copy right. */
export function forged(image: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = image.slice();
  change(bytes);
  const { data, trailer, end, sections, table, sums } = partsOf(bytes);
  for (let index = 0; index < sections; index++) {
    const offset = Number(data.getBigUint64(table + index * 32, true));
    const length = Number(data.getBigUint64(table + index * 32 + 8, true));
    const first = Number(data.getBigUint64(table + index * 32 + 16, true));
    const count = Math.ceil(length / BLOCK);
    const at = sums + first * 4;
    if (offset + length > end || at + count * 4 > trailer || count > 1000) continue;
    for (let block = 0; block < count; block++) {
      const from = offset + block * BLOCK;
      const part = bytes.subarray(from, Math.min(from + BLOCK, offset + length));
      data.setUint32(at + block * 4, crc32c(part), true);
    }
    data.setUint32(table + index * 32 + 24, crc32c(bytes.subarray(at, at + count * 4)), true);
  }
  data.setUint32(60, crc32c(bytes.subarray(0, 60)), true);
  data.setUint32(trailer + 40, crc32c(bytes.subarray(end, sums)), true);
  data.setUint32(trailer + 44, crc32c(bytes.subarray(0, 64)), true);
  seal(bytes, trailer);
  return bytes;
}
