/** A compiler's cache of nodes, and the ways to keep it. */
import { deserialize, serialize } from 'node:v8';
import { list, struct, text, u8, u32 } from 'holdfast/image';
import { loadPeer, peerLabel } from '../harness/peers.js';
import type { Surroundings } from '../harness/question.js';

const Node = struct({
  kind: u8,
  flags: u8,
  first: u32,
  next: u32,
  start: u32,
  end: u32,
  name: u32,
});
export const Cache = struct({ nodes: list(Node), names: list(text) });

/** What is kept. */
export interface Value {
  readonly nodes: readonly {
    readonly kind: number;
    readonly flags: number;
    readonly first: number;
    readonly next: number;
    readonly start: number;
    readonly end: number;
    readonly name: number;
  }[];
  readonly names: readonly string[];
}

export function nodesOf(count: number): Value {
  const nodes = Array.from({ length: count }, (_, n) => ({
    kind: n % 60,
    flags: n & 3,
    first: n * 2 + 1,
    next: n + 1,
    start: n * 7,
    end: n * 7 + 6,
    name: n % 1000,
  }));
  return { nodes, names: Array.from({ length: 1000 }, (_, n) => `name${n}`) };
}

interface Msgpackr {
  pack(value: unknown): Uint8Array;
  unpack(bytes: Uint8Array): unknown;
}

/** A way to make bytes of a value, and a value of bytes. */
export interface Codec {
  readonly name: string;
  readonly file: string;
  encode(value: Value): string | Uint8Array;
  decode(bytes: Buffer): Value;
}

/** The others. */
export async function codecs(surroundings: Surroundings): Promise<Codec[]> {
  const peer = await loadPeer<Msgpackr>('msgpackr', surroundings);
  const found: Codec[] = [
    {
      name: 'v8.serialize',
      file: 'v8',
      encode: (value) => serialize(value),
      decode: (bytes) => deserialize(bytes) as Value,
    },
    {
      name: 'JSON',
      file: 'json',
      encode: (value) => JSON.stringify(value),
      decode: (bytes) => JSON.parse(bytes.toString('utf8')) as Value,
    },
  ];
  if (peer === undefined) return found;
  const { pack, unpack } = peer;
  const decode = (bytes: Buffer): Value => unpack(bytes) as Value;
  return [...found, { name: peerLabel('msgpackr'), file: 'msgpack', encode: pack, decode }];
}
