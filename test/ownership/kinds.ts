/** Memory of every kind, with a guarded place in the middle for a read to land in. */
import { GrowableBuffer } from 'holdfast';

export const GUARD_BYTES = 64;
const GUARD = 0xc7;

/** A place for a read, and what lies around it. */
export interface Spot {
  readonly kind: string;
  readonly view: Uint8Array;
  /** Bytes that are nobody's business. */
  readonly guards: readonly Uint8Array[];
}

function within(kind: string, memory: ArrayBufferLike, length: number): Spot {
  const all = new Uint8Array(memory).fill(GUARD);
  const view = all.subarray(GUARD_BYTES, GUARD_BYTES + length);
  return { kind, view, guards: [all.subarray(0, GUARD_BYTES), all.subarray(GUARD_BYTES + length)] };
}

interface Sized {
  new (length: number, options: { maxByteLength: number }): ArrayBuffer;
}

const { WebAssembly } = globalThis as unknown as {
  WebAssembly: { Memory: new (limits: object) => { readonly buffer: ArrayBuffer } };
};

/* Three neighbours in the pool that Buffer shares with every stranger in the process. */
function pooled(length: number): Spot {
  const before = Buffer.allocUnsafe(GUARD_BYTES).fill(GUARD);
  const view = Buffer.allocUnsafe(length).fill(GUARD);
  const after = Buffer.allocUnsafe(GUARD_BYTES).fill(GUARD);
  return { kind: 'pooled', view, guards: [before, after] };
}

function growable(length: number): Spot {
  const buffer = new GrowableBuffer();
  const all = buffer.prepare(length + 2 * GUARD_BYTES).fill(GUARD);
  const view = all.subarray(GUARD_BYTES, GUARD_BYTES + length);
  const guards = [all.subarray(0, GUARD_BYTES), all.subarray(GUARD_BYTES + length)];
  /* It grows, and lets go of the block, while the read is under way. */
  buffer.commit(all.length);
  buffer.prepare(4 * all.length);
  return { kind: 'growable', view, guards };
}

const around = (length: number): number => length + 2 * GUARD_BYTES;

export const kinds: readonly ((length: number) => Spot)[] = [
  (length) => within('plain', new ArrayBuffer(around(length)), length),
  (length) => within('shared', new SharedArrayBuffer(around(length)), length),
  (length) => {
    const bytes = around(length);
    const memory = new (ArrayBuffer as unknown as Sized)(bytes, { maxByteLength: 2 * bytes });
    return within('resizable', memory, length);
  },
  (length) => within('webassembly', new WebAssembly.Memory({ initial: 1 }).buffer, length),
  (length) => pooled(Math.min(length, 1000)),
  growable,
];

export function isUntouched({ guards }: Pick<Spot, 'guards'>): boolean {
  return guards.every((guard) => guard.every((byte) => byte === GUARD));
}
