/**
 * The demo's image: many files in one. The layout is the demo's own and as simple as can be.
 *
 *   from byte   what
 *   0           `holdfast demo 1\n`, 16 bytes
 *   16          generation: 64 bits, little-endian
 *   24          length of the index in bytes: 64 bits, little-endian
 *   32          SHA-256 of the 32 bytes before it and of the index
 *   64          index: JSON, `[path, bytes, sha256]` for each file, in the order of the contents
 *   then        the contents, with nothing between them and nothing behind
 *
 * Each generation begins with another file, so that every content stands at another place in it:
 * an image mixed of two generations cannot pass.
 */
import { createHash } from 'node:crypto';
import { type EngineStats, openFile } from 'holdfast';

const MAGIC = 'holdfast demo 1\n';
const HEADER_BYTES = 64;
const SEALED_BYTES = 32;

/** A file as the image holds it. */
export interface Item {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly sha256: string;
}

/** An image that has passed every check. */
export interface Image {
  readonly generation: number;
  readonly items: readonly Item[];
  readonly stats: EngineStats;
}

/** The image is not what it should be. */
export class Mismatch extends Error {}

export function sha256Of(...views: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const view of views) hash.update(view);
  return hash.digest();
}

/** The image as views: header, index, and each file's bytes where they already are. */
export function viewsOf(items: readonly Item[], generation: number): Uint8Array[] {
  const first = generation % items.length;
  const turned = [...items.slice(first), ...items.slice(0, first)];
  const rows = turned.map(({ path, bytes, sha256 }) => [path, bytes.byteLength, sha256]);
  const index = Buffer.from(JSON.stringify(rows));
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, 'latin1');
  header.writeBigUInt64LE(BigInt(generation), 16);
  header.writeBigUInt64LE(BigInt(index.byteLength), 24);
  sha256Of(header.subarray(0, SEALED_BYTES), index).copy(header, SEALED_BYTES);
  return [header, index, ...turned.map(({ bytes }) => bytes)];
}

type Row = readonly [path: string, bytes: number, sha256: string];

function check(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Mismatch(otherwise);
}

/** Opens an image and verifies every byte of it. Throws `Mismatch`. */
export async function readImage(path: string): Promise<Image> {
  await using file = await openFile(path);
  const { size } = await file.stat();
  const header = Buffer.alloc(HEADER_BYTES);
  check((await file.readAt(header, 0)) === HEADER_BYTES, `the image has only ${size} bytes`);
  check(header.toString('latin1', 0, 16) === MAGIC, 'the image does not begin as an image does');
  const indexBytes = Number(header.readBigUInt64LE(24));
  check(HEADER_BYTES + indexBytes <= size, 'the index ends behind the end of the image');

  const index = Buffer.alloc(indexBytes);
  await file.readAt(index, HEADER_BYTES);
  const seal = sha256Of(header.subarray(0, SEALED_BYTES), index);
  check(seal.equals(header.subarray(SEALED_BYTES)), 'header and index do not have their SHA-256');

  /* The index is sealed, so from here on its lengths can be trusted. */
  const rows = JSON.parse(index.toString()) as readonly Row[];
  const views = rows.map(([, bytes]) => new Uint8Array(bytes));
  const start = HEADER_BYTES + indexBytes;
  const end = views.reduce((sum, view) => sum + view.byteLength, start);
  check(end === size, `the image has ${size} bytes instead of ${end}`);
  await file.readAt(views, start);

  const items = rows.map(([path, , sha256], place) => {
    const bytes = views[place] as Uint8Array;
    check(sha256Of(bytes).toString('hex') === sha256, `${path} does not have its SHA-256`);
    return { path, bytes, sha256 };
  });
  return { generation: Number(header.readBigUInt64LE(16)), items, stats: file.stats() };
}

/** Verifies that an image holds exactly these files. Throws `Mismatch`. */
export function compare(image: Image, originals: readonly Item[]): void {
  const wanted = new Map(originals.map(({ path, sha256 }) => [path, sha256]));
  check(image.items.length === wanted.size, `the image has ${image.items.length} files`);
  for (const { path, sha256 } of image.items) {
    check(wanted.get(path) === sha256, `${path} is not the file that was read`);
  }
}
