/** Random programs of system calls, and their run on any engine. */
import fc from 'fast-check';
import type { Engine } from 'holdfast';
import {
  APPENDS,
  AT_SYMLINK_NOFOLLOW,
  Code,
  OpenFlag,
  Operation,
  placeOf,
  RENAME_NOREPLACE,
} from '#holdfast/platform.js';

const { ReadOnly, ReadWrite, WriteOnly, Create, Exclusive, Truncate, Append } = OpenFlag;
const { Directory, NoFollow } = OpenFlag;

const paths = [
  'a',
  'b',
  'd/a',
  'd/b',
  'd',
  'd/',
  'a/',
  'a/x',
  'link',
  'dangling',
  'loop',
  'd/up',
  'd/up/a',
  'd/../b',
  './a',
  'missing/a',
  '',
  'd/new/',
  'n'.repeat(256),
] as const;

const path = fc.constantFrom(...paths.filter((one) => one !== ''));
const slot = fc.nat(3);
const length = fc.constantFrom(0, 1, 7, 511, 512, 513, 1500);
const offset = fc.constantFrom(-1, 0, 1, 500, 512, 1000, 3000);

const flags = fc
  .tuple(
    fc.constantFrom(ReadOnly, WriteOnly, ReadWrite, ReadWrite),
    fc.constantFrom(0, Create, Create, Create | Exclusive),
    fc.constantFrom(0, 0, Truncate),
    fc.constantFrom(0, 0, 0, Append, Directory, NoFollow),
  )
  .map((parts) => parts.reduce((all, one) => all | one, 0));

/** One call. Descriptors are named by slots, so that two engines can be told the same. */
export type Step =
  | { readonly call: 'open'; readonly path: string; readonly flags: number; readonly slot: number }
  | ({ readonly call: 'write' | 'append' | 'read'; readonly slot: number } & Range)
  | { readonly call: 'truncate'; readonly slot: number; readonly length: number }
  | {
      readonly call: 'rename' | 'link';
      readonly path: string;
      readonly to: string;
      noReplace: boolean;
    }
  | { readonly call: 'unlink' | 'lstat' | 'stat' | 'readlink'; readonly path: string }
  | { readonly call: 'makeDirectory'; readonly path: string; readonly mode: number }
  | { readonly call: 'makeLink'; readonly path: string; readonly to: string }
  | ({ readonly call: 'copyRange'; readonly slot: number; readonly from: number } & Range)
  | { readonly call: 'mode'; readonly slot: number; readonly mode: number }
  | ({ readonly call: 'allocate'; readonly slot: number; readonly mode: number } & Range)
  | { readonly call: 'seek'; readonly slot: number; readonly whence: number; offset: number }
  | { readonly call: 'attribute'; readonly slot: number; readonly name: string }
  | { readonly call: 'attributes'; readonly path: string; readonly name: string }
  | { readonly call: 'sync' | 'syncData' | 'fstat' | 'close' | 'duplicate' | 'lock'; slot: number };

interface Range {
  readonly offset: number;
  readonly length: number;
}

type Record = { readonly [key: string]: fc.Arbitrary<unknown> };

function step<T extends Step['call']>(calls: readonly T[], fields: Record): fc.Arbitrary<Step> {
  return fc.record({ call: fc.constantFrom(...calls), ...fields }) as unknown as fc.Arbitrary<Step>;
}

const attribute = fc.constantFrom('user.one', 'user.two');
const bySlot = ['sync', 'syncData', 'fstat', 'close', 'duplicate', 'lock'] as const;

export const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: step(['open'], { path, flags, slot }) },
  { weight: 6, arbitrary: step(['write', 'append', 'read'], { slot, offset, length }) },
  { weight: 2, arbitrary: step(['truncate'], { slot, length }) },
  { weight: 4, arbitrary: step(['rename', 'link'], { path, to: path, noReplace: fc.boolean() }) },
  { weight: 3, arbitrary: step(['unlink', 'lstat', 'stat', 'readlink'], { path }) },
  { weight: 1, arbitrary: step(['mode'], { slot, mode: fc.constantFrom(0o600, 0o644, 0o4755) }) },
  {
    weight: 1,
    arbitrary: step(['allocate'], {
      slot,
      offset: fc.constantFrom(0, 100, 4096),
      length: fc.constantFrom(0, 300, 4096),
      mode: fc.constantFrom(0, 1, 2, 3, 16, 17, 8),
    }),
  },
  {
    weight: 1,
    arbitrary: step(['seek'], {
      slot,
      whence: fc.constantFrom(0, 1, 2),
      offset: fc.constantFrom(-1, 0, 5),
    }),
  },
  {
    weight: 2,
    arbitrary: step(['makeDirectory'], { path, mode: fc.constantFrom(0o700, 0o777, 0o7755) }),
  },
  { weight: 1, arbitrary: step(['makeLink'], { path, to: fc.constantFrom('a', 'd', 'x/y') }) },
  {
    weight: 2,
    arbitrary: step(['copyRange'], {
      slot,
      from: slot,
      offset: fc.constantFrom(0, 1, 500, 1000, 3000),
      length,
    }),
  },
  { weight: 1, arbitrary: step(['attribute'], { slot, name: attribute }) },
  { weight: 1, arbitrary: step(['attributes'], { path, name: attribute }) },
  { weight: 5, arbitrary: step([...bySlot], { slot }) },
);

/** Bytes that tell where they came from. */
export function content(length: number, salt: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => 1 + ((index * 7 + salt * 31) % 250));
}

function on(code: Code, fd: number, fields: Partial<Operation> = {}): Operation {
  return Object.assign(new Operation(code), { fd }, fields);
}

function named(code: Code, at: string, fields: Partial<Operation> = {}): Operation {
  return Object.assign(new Operation(code), { place: placeOf(at) }, fields);
}

/** Runs steps on an engine and writes down what each answered. */
export class Runner {
  readonly answers: unknown[] = [];
  readonly #engine: Engine;
  readonly #root: string;
  readonly #slots: number[] = [-1, -1, -1, -1];

  constructor(engine: Engine, root: string) {
    this.#engine = engine;
    this.#root = root;
  }

  run(program: readonly Step[]): void {
    for (const [index, one] of program.entries()) this.answers.push(this.#step(one, index));
    for (const fd of this.#slots) if (fd >= 0) this.#perform(on(Code.Close, fd));
  }

  #perform(operation: Operation): Operation {
    this.#engine.perform(operation);
    return operation;
  }

  #at(path: string): string {
    return `${this.#root}/${path}`;
  }

  #step(one: Step, index: number): unknown {
    if ('slot' in one) return this.#onSlot(one, index);
    const at = this.#at(one.path);
    if (one.call === 'rename' || one.call === 'link') {
      const code = one.call === 'rename' ? Code.Rename : Code.Link;
      const noReplace = one.call === 'rename' && one.noReplace ? RENAME_NOREPLACE : 0;
      const to = placeOf(this.#at(one.to));
      return this.#perform(named(code, at, { place2: to, flags: noReplace })).result;
    }
    if (one.call === 'unlink') return this.#perform(named(Code.Unlink, at)).result;
    if (one.call === 'makeDirectory') {
      return this.#perform(named(Code.MakeDirectory, at, { mode: one.mode })).result;
    }
    if (one.call === 'makeLink') {
      const payload = Buffer.from(`${one.to}\0`);
      return this.#perform(named(Code.MakeLink, at, { payload })).result;
    }
    if (one.call === 'readlink') {
      const out = new Uint8Array(64);
      const { result } = this.#perform(named(Code.ReadLink, at, { out }));
      return result < 0 ? result : Buffer.from(out).toString('utf8', 0, result);
    }
    if (one.call === 'attributes') return this.#attributes(at, one.name);
    const flags = one.call === 'lstat' ? AT_SYMLINK_NOFOLLOW : 0;
    return told(this.#perform(named(Code.Stat, at, { flags })));
  }

  #attributes(at: string, attribute: string): unknown {
    const list = this.#perform(named(Code.ListAttributes, at, { out: new Uint8Array(256) }));
    const out = new Uint8Array(64);
    const get = this.#perform(named(Code.GetAttribute, at, { attribute, out }));
    const names = Buffer.from(list.out as Uint8Array).toString('utf8', 0, Math.max(0, list.result));
    return [list.result, names.split('\0').sort(), get.result, [...out]];
  }

  #onSlot(one: Extract<Step, { slot: number }>, index: number): unknown {
    if (one.call === 'open') {
      const { flags } = one;
      const open = this.#perform(named(Code.Open, this.#at(one.path), { flags, mode: 0o666 }));
      if (open.result < 0) return open.result;
      this.#put(one.slot, open.result);
      return 'open';
    }
    const fd = this.#slots[one.slot] as number;
    switch (one.call) {
      case 'duplicate': {
        const { result } = this.#perform(on(Code.Duplicate, fd));
        if (result >= 0) this.#put((one.slot + 1) % 4, result);
        return result >= 0 ? 'open' : result;
      }
      case 'close': {
        this.#slots[one.slot] = -1;
        return this.#perform(on(Code.Close, fd)).result;
      }
      case 'seek': {
        /* Where a directory ends is the file system's own business. */
        const { stat } = this.#perform(on(Code.Stat, fd));
        if (stat?.kind === 'directory') return 'directory';
        return this.#perform(operationOf(one, fd, index)).result;
      }
      case 'copyRange': {
        const { offset, length } = one;
        const fd2 = this.#slots[one.from] as number;
        return this.#perform(on(Code.CopyRange, fd, { fd2, offset, length })).result;
      }
      case 'fstat':
        return told(this.#perform(on(Code.Stat, fd)));
      case 'read': {
        const payload = new Uint8Array(one.length);
        const { offset } = one;
        const read = this.#perform(on(Code.Read, fd, { payload, offset, length: one.length }));
        return [read.result, Buffer.from(payload).toString('latin1')];
      }
      default:
        return this.#perform(operationOf(one, fd, index)).result;
    }
  }

  #put(slot: number, fd: number): void {
    const old = this.#slots[slot] as number;
    if (old >= 0) this.#perform(on(Code.Close, old));
    this.#slots[slot] = fd;
  }
}

function operationOf(one: Step, fd: number, index: number): Operation {
  switch (one.call) {
    case 'write':
    case 'append': {
      const flags = one.call === 'append' ? APPENDS : 0;
      const offset = one.call === 'append' ? -1 : one.offset;
      const payload = content(one.length, index);
      return on(Code.Write, fd, { payload, offset, length: one.length, flags });
    }
    case 'truncate':
      return on(Code.Truncate, fd, { length: one.length });
    case 'mode':
      return on(Code.SetMode, fd, { mode: one.mode });
    case 'allocate':
      return on(Code.Allocate, fd, { flags: one.mode, offset: one.offset, length: one.length });
    case 'seek':
      return on(Code.Seek, fd, { flags: one.whence, offset: one.offset });
    case 'attribute':
      return on(Code.SetAttribute, fd, { attribute: one.name, payload: content(5, index) });
    case 'lock':
      return on(Code.Lock, fd, { flags: 6 });
    case 'syncData':
      return on(Code.SyncData, fd);
    default:
      return on(Code.Sync, fd);
  }
}

/** What of a stat two worlds agree about. */
function told({ result, stat }: Operation): unknown {
  if (result < 0 || stat === undefined) return result;
  const { kind, size, mode, links } = stat;
  return kind === 'directory' ? { kind, mode } : { kind, size, mode, links };
}
