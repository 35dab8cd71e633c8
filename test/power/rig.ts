/**
 * Power cuts on real file systems: a disk that logs every write and sync carries the file system on
 * which a workload runs; from the log every content the disk may have after a cut is made again and
 * mounted.
 *
 *     const recording = await record('ext4', { module: new URL('./work.js', import.meta.url) });
 *     for (const state of recording.states(seed, 100)) {
 *       const { path, unmount } = await state.mount();
 *       ... look at the files below `path`; `state.marks` are what had been marked by then ...
 *       await unmount();
 *     }
 *     await recording.close();
 *
 * The disk: what was answered before a sync is kept, what came after it may be kept or lost, each
 * 4096 bytes by themselves, in any combination.
 *
 * Source: Pillai et al., All File Systems Are Not Created Equal, OSDI 2014; Mohan et al., Finding
 * Crash-Consistency Bugs with Bounded Black-Box Crash Testing, OSDI 2018; dm-log-writes in
 * Documentation/admin-guide/device-mapper/log-writes.rst for the log
 */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Child } from '../support/child.js';
import { type Choice, choicesOf, type Epoch, epochsOf, Medium, type Write } from './log.js';
import {
  compiled,
  type DiskKind,
  homeFolders,
  makeHome,
  removeHome,
  rigRefusal,
  run,
  Talker,
} from './tools.js';

export { type DiskKind, diskKinds, rigRefusal } from './tools.js';

/** A function of a module, run in a child of its own; or any program. */
export type Workload =
  | {
      readonly module: URL;
      /** Which function the module exports. Default: `work`. */
      readonly name?: string;
      /** Handed on as JSON. */
      readonly input?: unknown;
    }
  /** Run with the directory and the file of marks as its last arguments. */
  | { readonly command: readonly string[] };

/** What a workload's function is given. */
export interface Site {
  /** The root of the file system. */
  readonly path: string;
  readonly input: unknown;
  /**
   * Sets a mark: from here on a cut comes after what the words say. States begin at the first.
   */
  mark(words: string): void;
}

export interface RecordOptions {
  /** Words for mkfs, for instance ['-O', 'fast_commit']. */
  readonly make?: readonly string[];
  /** As mount(8) has them after -o. */
  readonly mount?: string;
  /** The workload is killed, and the recording fails, after so long. Default: 60 s. */
  readonly timeoutMs?: number;
}

const mebibyte = 1024 * 1024;

interface Maker {
  readonly bytes: number;
  readonly words: readonly string[];
  /** What a second disk with the same identity needs to be mounted. */
  readonly mount: string;
}

/* Small journals: replaying a big one is most of what a state costs. */
const makers: Readonly<Record<DiskKind, Maker>> = {
  ext4: {
    bytes: 32 * mebibyte,
    words: ['-q', '-F', '-b', '4096', '-J', 'size=4', '-E', 'lazy_itable_init=0'],
    mount: '',
  },
  xfs: { bytes: 300 * mebibyte, words: ['-q', '-f'], mount: 'nouuid' },
  btrfs: { bytes: 120 * mebibyte, words: ['-q', '-f'], mount: '' },
};

/** Runs a workload on a fresh file system on a logged disk. Errors: whatever went wrong. */
export async function record(
  kind: DiskKind,
  workload: Workload,
  options: RecordOptions = {},
): Promise<Recording> {
  const refusal = rigRefusal(kind);
  if (refusal !== undefined) throw new Error(refusal);
  const home = makeHome();
  const programs: Talker[] = [];
  try {
    for (const name of homeFolders) mkdirSync(join(home, name));
    const sectors = makeFileSystem(kind, home, options);
    const mounter = new Talker(compiled('mounter'), []);
    programs.push(mounter);
    const log = await logged(kind, { home, mounter, programs }, workload, options);
    const epochs = epochsOf(log);
    const medium = new Medium(epochs, sectors);
    return new Recording({ kind, home, mounter, options, epochs, medium });
  } catch (error) {
    for (const program of programs) await program.end();
    removeHome(home);
    throw error;
  }
}

const imageIn = (home: string): string => join(home, 'image');

/** Makes the file system in an image; answers what of it is not zeros. */
function makeFileSystem(kind: DiskKind, home: string, { make = [] }: RecordOptions): Write[] {
  const { bytes, words } = makers[kind];
  const image = imageIn(home);
  const fd = openSync(image, 'w');
  ftruncateSync(fd, bytes);
  closeSync(fd);
  run(`mkfs.${kind}`, [...words, ...make, image]);
  return sectorsIn(image);
}

function sectorsIn(image: string): Write[] {
  const sectors: Write[] = [];
  const fd = openSync(image, 'r');
  const piece = Buffer.alloc(mebibyte);
  for (let at = 0, got = -1; got !== 0; at += got) {
    got = readSync(fd, piece, 0, piece.length, at);
    for (let done = 0; done < got; done += zeros.length) {
      const sector = piece.subarray(done, Math.min(done + zeros.length, got));
      if (isZero(sector)) continue;
      sectors.push({ offset: at + done, length: sector.length, bytes: Buffer.from(sector) });
    }
  }
  closeSync(fd);
  return sectors;
}

const zeros = Buffer.alloc(4096);
const isZero = (sector: Buffer): boolean => sector.compare(zeros, 0, sector.length) === 0;

interface Stage {
  readonly home: string;
  readonly mounter: Talker;
  readonly programs: Talker[];
}

async function logged(
  kind: DiskKind,
  { home, mounter, programs }: Stage,
  workload: Workload,
  options: RecordOptions,
): Promise<Uint8Array> {
  const [disk, root, log] = [join(home, 'disk'), join(home, 'root'), join(home, 'log')];
  const recorder = new Talker(compiled('recorder'), [disk, imageIn(home), log]);
  programs.push(recorder);
  await recorder.ask(undefined);
  const words = ['mount', kind, join(disk, 'disk'), root, options.mount ?? ''];
  await mounter.tell(words.join('\t'));
  const ended = await worked(workload, { root, marks: join(disk, 'mark') }, options);
  const bytes = readFileSync(log);
  await mounter.tell(`unmount\t${root}`);
  run('umount', [disk]);
  await recorder.end();
  if (ended !== undefined) throw new Error(`The workload on ${kind} ${ended}`);
  return bytes;
}

async function worked(
  workload: Workload,
  { root, marks }: { readonly root: string; readonly marks: string },
  { timeoutMs = 60_000 }: RecordOptions,
): Promise<string | undefined> {
  const module = new URL('./child.js', import.meta.url);
  const child = new Child({ module, args: [JSON.stringify(workload), root, marks], timeoutMs });
  const { code, signal, stderr, timedOut } = await child.ended;
  if (timedOut) return `took more than ${timeoutMs} ms`;
  return code === 0 ? undefined : `ended with ${signal ?? code}: ${stderr}`;
}

/** Somewhere a state is mounted. */
export interface Mounted {
  readonly path: string;
  unmount(): Promise<void>;
}

interface Recorded {
  readonly kind: DiskKind;
  readonly home: string;
  readonly mounter: Talker;
  readonly medium: Medium;
  readonly options: RecordOptions;
  readonly epochs: readonly Epoch[];
}

/** What was done to the disk, and the states it may be in. Holds a folder until `close`. */
export class Recording {
  readonly kind: DiskKind;
  readonly epochs: readonly Epoch[];
  readonly #recorded: Recorded;

  constructor(recorded: Recorded) {
    this.#recorded = recorded;
    this.kind = recorded.kind;
    this.epochs = recorded.epochs;
  }

  /** So many different states by a seed, or all there are. */
  states(seed: number, count: number): State[] {
    return choicesOf(this.epochs, seed, count).map((choice) => new State(this.#recorded, choice));
  }

  async close(): Promise<void> {
    await this.#recorded.mounter.end();
    removeHome(this.#recorded.home);
  }
}

/** The disk after a cut. */
export class State {
  /** What had been marked. */
  readonly marks: readonly string[];
  readonly #recorded: Recorded;
  readonly #choice: Choice;

  constructor(recorded: Recorded, choice: Choice) {
    this.#recorded = recorded;
    this.#choice = choice;
    this.marks = recorded.epochs.slice(0, choice.epoch + 1).flatMap(({ marks }) => marks);
  }

  /** Which one it is, for a message. */
  get name(): string {
    const { epoch, kept } = this.#choice;
    const lost = kept.flatMap((isKept, index) => (isKept ? [] : [index]));
    const which = lost.length > 12 ? `${lost.length}` : `[${lost.join(' ')}]`;
    const cut = `cut after sync ${epoch} of ${this.#recorded.epochs.length}`;
    return `${cut}, ${which} of ${kept.length} later writes lost`;
  }

  /** Mounts a fresh copy, its journal replayed. One at a time. Errors: the mount's. */
  async mount(): Promise<Mounted> {
    const { home, mounter, kind, options } = this.#recorded;
    const [image, path] = [join(home, 'scratch'), join(home, 'state')];
    this.#write(image);
    const words = [makers[kind].mount, options.mount ?? ''].filter((word) => word !== '');
    await mounter.tell(['mount', kind, image, path, words.join(',')].join('\t'));
    const unmount = async (): Promise<void> => {
      await mounter.tell(`unmount\t${path}`);
      rmSync(image);
    };
    return { path, unmount };
  }

  #write(image: string): void {
    const { kind, medium, epochs } = this.#recorded;
    const { epoch, kept } = this.#choice;
    rmSync(image, { force: true });
    const fd = openSync(image, 'wx', 0o600);
    try {
      ftruncateSync(fd, makers[kind].bytes);
      for (const write of medium.before(epoch)) put(fd, write);
      for (const [index, write] of (epochs[epoch] as Epoch).writes.entries()) {
        if (kept[index]) put(fd, write);
      }
    } finally {
      closeSync(fd);
    }
  }
}

function put(fd: number, { offset, length, bytes }: Write): void {
  if (bytes !== undefined) {
    writeSync(fd, bytes, 0, length, offset);
    return;
  }
  for (let done = 0; done < length; done += zeros.length) {
    writeSync(fd, zeros, 0, Math.min(zeros.length, length - done), offset + done);
  }
}
