/** What is refused at its n-th operation, for every n: doors, and what they say of failure. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import {
  AbortError,
  type Engine,
  IoError,
  type OpenFile,
  openFile,
  openFileSync,
  replaceFile,
  replaceFileSync,
  type UpdateOptions,
  updateFile,
  updateFileSync,
  writeFileAtomic,
} from 'holdfast';
import { pieces } from '../replace/worlds.js';

/** A place that the doors work in, on whatever engine. */
export interface Site {
  readonly engine: Engine;
  readonly path: string;
  /** The content of the file there, as anyone may read it; `undefined` when there is none. */
  readonly read: () => Buffer | undefined;
}

export interface Scenario {
  readonly name: string;
  /** What stands there before; `undefined` for nothing. */
  readonly old: string | undefined;
  readonly run: (site: Site) => Promise<void>;
  /** Checks what is left. `error` is what the door threw. */
  readonly check: (site: Site, error: unknown) => void;
}

export const OLD = 'old content of some length';
export const NEW = 'new content, and longer than the old';

/** What an `IoError` tells whatever happened. */
function checkTold(error: unknown): asserts error is IoError {
  ok(error instanceof IoError, `${error instanceof Error ? error.stack : error}`);
  ok(!(error instanceof AbortError));
  ok(error.code.startsWith('E'), error.code);
  ok(error.message.includes(error.code));
  if (error.kind !== 'broken') ok(error.kind !== 'unknown', error.code);
}

function checkReplaced({ read }: Site, error: unknown, old: string | undefined): void {
  const found = read()?.toString();
  let expected: string | undefined = NEW;
  if (error !== undefined) {
    checkTold(error);
    ok(error.step !== undefined && error.path !== undefined, 'a refused replace tells its step');
    ok(error.durable === 'old' || error.durable === 'unknown', `durable: ${error.durable}`);
    if (error.durable === 'old') expected = old;
  }
  equal(found, expected);
}

function replacing(name: string, old: string | undefined, run: Scenario['run']): Scenario {
  const words = `${name} of ${old === undefined ? 'a new file' : 'an old file'}`;
  return { name: words, old, run, check: (site, error) => checkReplaced(site, error, old) };
}

const views = (): Buffer[] => [...(NEW.match(/.{1,6}/g) ?? [])].map((text) => Buffer.from(text));

const replaces = [OLD, undefined].flatMap((old) => [
  replacing('replaceFile()', old, async ({ engine, path }) => {
    await replaceFile(path, NEW, { engine });
  }),
  replacing('replaceFile() of views', old, async ({ engine, path }) => {
    await replaceFile(path, views(), { engine });
  }),
  replacing('replaceFile() of pieces', old, async ({ engine, path }) => {
    await replaceFile(path, pieces(...views()), { engine });
  }),
  replacing('replaceFileSync()', old, async ({ engine, path }) => {
    replaceFileSync(path, NEW, { engine, keepTimes: true, mode: 0o640 });
  }),
  replacing('writeFileAtomic()', old, async ({ engine, path }) => {
    await writeFileAtomic(path, NEW, { engine });
  }),
  replacing('writeFileAtomic.sync()', old, async ({ engine, path }) => {
    writeFileAtomic.sync(path, NEW, { engine, tmpfileCreated: () => undefined });
  }),
]);

const ifAbsent = replacing('replaceFile() ifAbsent', undefined, async ({ engine, path }) => {
  await replaceFile(path, NEW, { engine, ifAbsent: true });
});

/* A record in the lock file is no more than words: a refused one is no error. */
const updates = [
  replacing('updateFile()', OLD, async ({ engine, path }) => {
    await updateFile(path, changed(OLD), turnsOn(engine));
  }),
  replacing('updateFileSync()', undefined, async ({ engine, path }) => {
    updateFileSync(path, changed(undefined), turnsOn(engine));
  }),
];

/* EAGAIN for good is a lock that is held: it is not waited for long. */
function turnsOn(engine: Engine): UpdateOptions {
  const exclusion = engine.capabilities.locks === true ? 'processes' : 'this-process';
  return { engine, exclusion, timeoutMs: 2000 };
}

function changed(old: string | undefined) {
  return (found: Uint8Array | undefined): string => {
    equal(found === undefined ? undefined : Buffer.from(found).toString(), old, 'what is read');
    return NEW;
  };
}

/* ------------------------------------------------------------------------------ open files */

/** Runs a call and answers its value or its refusal. */
async function tried<T>(call: () => T | Promise<T>): Promise<{ value?: T; error?: IoError }> {
  try {
    return { value: await call() };
  } catch (error) {
    checkTold(error);
    return { error };
  }
}

type Calls = Pick<OpenFile, 'path'> & {
  readonly write: (data: Buffer, offset: number) => Promise<number> | number;
  readonly read: (data: Buffer, offset: number) => Promise<number> | number;
  readonly append: (data: Buffer) => Promise<number> | number;
  readonly truncate: (length: number) => Promise<void> | void;
  readonly sync: () => unknown;
};

function callsOf(file: OpenFile, isSync: boolean): Calls {
  const { path } = file;
  if (isSync) {
    return {
      path,
      write: (data, offset) => file.writeAtSync(data, offset),
      read: (data, offset) => file.readAtSync(data, offset),
      append: (data) => file.appendSync(data),
      truncate: (length) => file.truncateSync(length),
      sync: () => file.syncSync(),
    };
  }
  return {
    path,
    write: (data, offset) => file.writeAt(data, offset),
    read: (data, offset) => file.readAt(data, offset),
    append: (data) => file.append(data),
    truncate: (length) => file.truncate(length),
    sync: () => file.sync(),
  };
}

/** Compares the file with what the calls have said of it. */
class Ledger {
  content: Buffer = Buffer.alloc(0);
  firstError: IoError | undefined;

  /** A write of unknown extent has broken the file. */
  isBroken = false;

  put(data: Buffer, offset: number, error: IoError | undefined): void {
    this.note(error);
    this.isBroken ||= error?.kind === 'io' && error.syscall === 'write';
    if (error?.kind === 'broken') return;
    const done = error === undefined ? data.length : (error.bytesDone ?? 0);
    ok(done >= 0 && (error === undefined || done < data.length), `${done} bytes done`);
    const next = Buffer.alloc(Math.max(this.content.length, done > 0 ? offset + done : 0));
    this.content.copy(next);
    data.copy(next, offset, 0, done);
    this.content = next;
  }

  /** After the file has broken, every call says so. */
  note(error: IoError | undefined): void {
    if (this.isBroken) equal(error?.kind, 'broken');
    this.firstError ??= error;
  }
}

/** What a system says that cannot sync: nothing is lost, the file is not broken. */
const HARMLESS = ['invalid', 'unsupported', 'read-only', 'wrong-type'];

async function syncTwice(ledger: Ledger, calls: Calls): Promise<void> {
  const { error } = await tried(() => calls.sync());
  ledger.note(error);
  if (error === undefined || HARMLESS.includes(error.kind)) return;
  const again = await tried(() => calls.sync());
  equal(again.error?.kind, 'broken', 'a failed sync is not followed by one that succeeds');
}

async function exercise({ engine, path, read }: Site, isSync: boolean): Promise<void> {
  const options = { access: 'read-write', create: true, truncate: true, engine } as const;
  const file = isSync ? openFileSync(path, options) : await openFile(path, options);
  const ledger = new Ledger();
  try {
    const calls = callsOf(file, isSync);
    const first = Buffer.from('the first bytes');
    ledger.put(first, 0, (await tried(() => calls.write(first, 0))).error);
    const more = Buffer.from(' and more');
    const end = ledger.content.length;
    const landed = await tried(() => calls.append(more));
    if (landed.value !== undefined) equal(landed.value, end, 'where the append landed');
    ledger.put(more, end, landed.error);
    const back = Buffer.alloc(64);
    const got = await tried(() => calls.read(back, 0));
    const seen = back.subarray(0, got.value ?? got.error?.bytesDone ?? 0);
    deepEqual(seen, ledger.content.subarray(0, seen.length), 'what is read is what was written');
    if (got.value !== undefined) equal(got.value, ledger.content.length);
    ledger.note(got.error);
    const cut = await tried(() => calls.truncate(5));
    if (cut.error === undefined)
      ledger.content = Buffer.concat([ledger.content, Buffer.alloc(5)], 5);
    ledger.note(cut.error);
    await syncTwice(ledger, calls);
    deepEqual(read(), ledger.content, 'bytesDone is what reached the file');
  } finally {
    if (isSync) file.closeSync();
    else await file.close();
  }
  if (ledger.firstError !== undefined) throw ledger.firstError;
}

function checkOpenFile(_: Site, error: unknown): void {
  if (error !== undefined) checkTold(error);
}

const openFiles = [false, true].map((isSync) => ({
  name: `an open file, ${isSync ? 'waiting' : 'not waiting'}`,
  old: OLD,
  run: (site: Site) => exercise(site, isSync),
  check: checkOpenFile,
}));

export const scenarios: readonly Scenario[] = [...replaces, ifAbsent, ...updates, ...openFiles];
