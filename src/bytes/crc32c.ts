/**
 * CRC-32C in plain JavaScript, eight bytes a step. The addon has it in hardware; for few bytes
 * crossing to it costs more than it gains: `checksum` of the platform chooses.
 */

/* The polynomial of Castagnoli, bits reversed. */
const POLYNOMIAL = 0x82f63b78;
const STRIDE = 8;

/* tables[k][b]: what the byte b leaves behind after k more bytes of zeros. Made when first used. */
type Tables = readonly [Table, Table, Table, Table, Table, Table, Table, Table];
type Table = Int32Array;
let tables: Tables | undefined;

function makeTables(): Tables {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    first[byte] = crc;
  }
  const made = [first];
  for (let table = 1; table < STRIDE; table++) {
    const before = made[table - 1] as Int32Array;
    made.push(before.map((crc) => (crc >>> 8) ^ (first[crc & 0xff] as number)));
  }
  return made as unknown as Tables;
}

function at(table: Table, index: number): number {
  return table[index & 0xff] as number;
}

/**
 * The CRC-32C of bytes, or of what follows bytes whose CRC-32C is `seed`:
 * `crc32c(b, crc32c(a))` is that of a and b joined.
 *
 * Shapes: the same on every host: bytes are taken one by one, whatever their alignment.
 * Units: an integer from 0 to 2^32 - 1; that of no bytes is `seed`.
 * Source: RFC 3720 section 12.1 and B.4; Kounavis and Berry, "A systematic approach to building
 * high performance software-based CRC generators" (slicing by 8)
 */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  tables ??= makeTables();
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tables;
  const length = bytes.length;
  const strides = length - (length % STRIDE);
  let crc = ~seed;
  let i = 0;
  for (; i < strides; i += STRIDE) {
    crc =
      at(t7, crc ^ (bytes[i] as number)) ^
      at(t6, (crc >>> 8) ^ (bytes[i + 1] as number)) ^
      at(t5, (crc >>> 16) ^ (bytes[i + 2] as number)) ^
      at(t4, (crc >>> 24) ^ (bytes[i + 3] as number)) ^
      at(t3, bytes[i + 4] as number) ^
      at(t2, bytes[i + 5] as number) ^
      at(t1, bytes[i + 6] as number) ^
      at(t0, bytes[i + 7] as number);
  }
  for (; i < length; i++) crc = (crc >>> 8) ^ at(t0, crc ^ (bytes[i] as number));
  return ~crc >>> 0;
}
