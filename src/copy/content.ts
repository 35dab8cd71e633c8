/** The content of one open file into another, by the best way there is; holes stay holes. */
import type { Sequence } from '../buffers.js';
import { alignUp } from '../bytes.js';
import type { Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { type Target, Transfer, transferSteps } from '../file.js';
import {
  Code,
  codeName,
  errnoOf,
  type FileStat,
  libraryMemory,
  linked,
  Operation,
  refusal,
  SEEK_DATA,
  SEEK_HOLE,
  Writeback,
} from '../platform.js';
import type { CopyProgress, Reflink } from './options.js';
import { changed, hasChanged, type Source } from './source.js';

/** How the bytes came over. */
export type CopyMethod = 'reflink' | 'copy_file_range' | 'read-write';

/** What was moved. */
export interface Moved {
  readonly method: CopyMethod;
  readonly bytes: number;
  /** Bytes left as holes; `undefined` for a reflink, which has the holes of its source. */
  readonly holeBytes: number | undefined;
}

export interface Wish {
  readonly reflink: Reflink;
  /** What the copies beside this one have learnt. */
  readonly company: { cloneRefusal: string | undefined };
  /** The copy is to be synced: its bytes may as well start on their way. */
  readonly isSynced: boolean;
  readonly tell: ((progress: CopyProgress) => void) | undefined;
  readonly note: (what: string, reason: string) => void;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/* One crossing for each: 16 MiB take 5 ms from the page cache, and an abort waits no longer. */
const RANGE_BYTES = 16 * 1048576;
const WRITEBACK_BYTES_MIN = 8 * 1048576;
/* By reading: pieces that stay in the processor's cache, as cp(1) has them, so many a crossing. */
const PIECE_BYTES = 256 * 1024;
const PIECES_MAX = 32;
const PIECE_BYTES_MIN = 65536;
const HOLE_BYTES = 4096;
/* So much is not searched for holes, where it has blocks for all of its bytes. */
const SMALL_BYTES = 65536;
const ZEROS: Buffer = Buffer.alloc(HOLE_BYTES);

/*
 * What copy_file_range(2) and ioctl_ficlone(2) answer where they cannot do it, file systems of
 * their own making included; cp(1) of GNU goes on after the same ones.
 */
const CANNOT: readonly string[] = [
  'ENOSYS',
  'ENOTTY',
  'ENOTSUP',
  'EOPNOTSUPP',
  'EINVAL',
  'EXDEV',
  'EBADF',
  'EPERM',
  'EACCES',
  'ETXTBSY',
];

/* Of these, what another file of the same two directories would be answered too. */
const NOWHERE: readonly string[] = ['ENOSYS', 'ENOTTY', 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV'];

const SPARSE_REASON = 'the system does not tell where they are: found by their zeros';

/** Moves the content once. */
export class Content {
  readonly #source: Source;
  readonly #target: Target;
  readonly #wish: Wish;
  readonly #offloads: boolean;
  #method: CopyMethod = 'read-write';
  #mapsHoles: boolean;
  #findsZeros = false;
  #buffer: Uint8Array | undefined;
  #isOffloading = false;
  #at = 0;
  /** Where the last byte that was written ends. */
  #written = 0;
  /** The length that the copy was given before anything was written. */
  #given = 0;
  #dataBytes = 0;

  constructor(source: Source, target: Target, wish: Wish) {
    this.#source = source;
    this.#target = target;
    this.#wish = wish;
    const { capabilities } = source.engine;
    this.#offloads = capabilities['kernel-copy'] === true;
    /* Whoever has native calls can ask, and is told where there is no such question. */
    this.#mapsHoles = capabilities['native-calls'] === true;
  }

  /** Bytes of the source that are behind us. */
  get bytesDone(): number {
    return this.#at;
  }

  /** All of it. Errors: `IoError`, also when the source changed meanwhile. */
  *move(): Steps<Moved> {
    const { size } = this.#source.stat;
    if (yield* this.#clone()) {
      this.#tell(this.#at);
      return { method: 'reflink', bytes: this.#at, holeBytes: undefined };
    }
    this.#isOffloading = this.#mayOffload();
    this.#method = this.#isOffloading ? 'copy_file_range' : 'read-write';
    this.#findsZeros = !this.#mapsHoles && this.#mustFindZeros();
    if (yield* this.#small()) return this.#moved();
    yield* this.#giveLength();
    while (this.#at < size) {
      const range = yield* this.#nextData();
      this.#at = range.start;
      if (range.start < range.end && !(yield* this.#copy(range.end))) break;
    }
    if (size === 0) yield* this.#unmeasured();
    yield* this.#end();
    return this.#moved();
  }

  /*
   * Files under /proc say 0 and have bytes; copy_file_range(2) finds none in them. A file that was
   * empty and is being written has no end: whoever follows it may never come back.
   */
  *#unmeasured(): Steps<void> {
    this.#stopOffloading(undefined);
    while ((yield* this.#transfer(Number.POSITIVE_INFINITY)) > 0) {
      const stat = new Operation(Code.Stat);
      stat.fd = this.#source.fd;
      yield stat;
      this.#check(stat);
    }
  }

  #moved(): Moved {
    this.#tell(this.#at);
    const holeBytes = this.#at - this.#dataBytes;
    return { method: this.#method, bytes: this.#at, holeBytes };
  }

  /* A small file without holes in one crossing. False: there is more to be done. */
  *#small(): Steps<boolean> {
    const { size, allocatedBytes } = this.#source.stat;
    const isSmall = size > 0 && size <= SMALL_BYTES && allocatedBytes >= size;
    if (!isSmall || !this.#isOffloading) return false;
    const copy = this.#copying(size);
    const stat = new Operation(Code.Stat);
    stat.fd = this.#source.fd;
    yield linked(copy, stat);
    if (this.#took(copy) !== size) return false;
    this.#check(stat);
    return true;
  }

  #tell(total: number): void {
    this.#wish.tell?.({ bytes: this.#at, total });
  }

  #refused(operation: Operation, step: string): IoError {
    return refusal(operation.result, {
      action: `copy the file: ${step}`,
      syscall: codeName(operation.code),
      path: this.#source.path,
      step,
    });
  }

  /* ----------------------------------------------------------------------------- reflink */

  *#clone(): Steps<boolean> {
    const { reflink, note, company } = this.#wish;
    if (reflink === 'never') return false;
    const known = reflink === 'always' ? undefined : company.cloneRefusal;
    if (known !== undefined) {
      note('reflink', known);
      return false;
    }
    const hindrance = yield* this.#cloneHindrance();
    if (hindrance !== undefined) {
      note('reflink', hindrance);
      if (reflink !== 'always') return false;
      const action = 'copy the file: reflink';
      const { path } = this.#source;
      throw new IoError({ action, code: 'ENOTSUP', path, step: 'reflink', words: hindrance });
    }
    const clone = new Operation(Code.Clone);
    clone.fd = this.#target.fd;
    clone.fd2 = this.#source.fd;
    const stat = new Operation(Code.Stat);
    stat.fd = this.#target.fd;
    yield linked(clone, stat);
    if (clone.result < 0) {
      const error = this.#refused(clone, 'reflink');
      if (reflink === 'always' || !CANNOT.includes(error.code)) throw error;
      note('reflink', error.code);
      if (NOWHERE.includes(error.code)) company.cloneRefusal = error.code;
      return false;
    }
    if (stat.result < 0) throw this.#refused(stat, 'inspect the copy');
    /* What the source was at that moment, whatever came after: the ioctl is atomic. */
    this.#at = (stat.stat as FileStat).size;
    return true;
  }

  /* Through node:fs a clone has the permissions of its source before it has its owner. */
  *#cloneHindrance(): Steps<string | undefined> {
    const { stat } = this.#source;
    if (this.#offloads || (stat.mode & 0o7077) === 0) return undefined;
    const look = new Operation(Code.Stat);
    look.fd = this.#target.fd;
    yield look;
    if (look.result < 0) throw this.#refused(look, 'inspect the copy');
    const { user, group } = look.stat as FileStat;
    if (user === stat.user && group === stat.group) return undefined;
    return 'node:fs would give the copy its permissions before its owner';
  }

  /* ------------------------------------------------------------------------------- holes */

  get #isSparse(): boolean {
    const { size, allocatedBytes } = this.#source.stat;
    return allocatedBytes < size;
  }

  #mustFindZeros(): boolean {
    if (this.#isSparse) this.#wish.note('holes', SPARSE_REASON);
    return this.#isSparse;
  }

  /*
   * A file that grows by writes is given blocks beyond its end by xfs; growing it over them makes
   * data of them: a hole of 1.9 MiB at the end was none in the copy.
   */
  *#giveLength(): Steps<void> {
    if (!this.#isSparse) return;
    const grow = new Operation(Code.Truncate);
    grow.fd = this.#target.fd;
    grow.length = this.#source.stat.size;
    yield grow;
    if (grow.result < 0) throw this.#refused(grow, 'write');
    this.#given = grow.length;
  }

  *#seek(whence: number, offset: number): Steps<Operation> {
    const seek = new Operation(Code.Seek);
    seek.fd = this.#source.fd;
    seek.flags = whence;
    seek.offset = offset;
    yield seek;
    return seek;
  }

  /* From where we are; an empty range at the end when nothing but a hole is left (ENXIO). */
  *#nextData(): Steps<Range> {
    const { size } = this.#source.stat;
    const all = { start: this.#at, end: size };
    if (!this.#mapsHoles) return all;
    const data = yield* this.#seek(SEEK_DATA, this.#at);
    if (data.result === errnoOf('ENXIO') || data.result >= size) return { start: size, end: size };
    if (data.result < 0) {
      const error = this.#refused(data, 'find the holes');
      if (!CANNOT.includes(error.code)) throw error;
      this.#mapsHoles = false;
      this.#findsZeros = this.#mustFindZeros();
      return all;
    }
    const hole = yield* this.#seek(SEEK_HOLE, data.result);
    if (hole.result === errnoOf('ENXIO')) return { start: size, end: size };
    if (hole.result < 0) throw this.#refused(hole, 'find the holes');
    if (hole.result <= data.result) throw changed(this.#source);
    return { start: data.result, end: Math.min(hole.result, size) };
  }

  /* ------------------------------------------------------------------------------- bytes */

  #mayOffload(): boolean {
    const { reflink, note } = this.#wish;
    if (!this.#offloads) {
      note('copy_file_range', String(this.#source.engine.capabilities['kernel-copy']));
    } else if (reflink === 'never') {
      note('copy_file_range', 'it may share blocks, and they are not to be shared');
    }
    return this.#offloads && reflink !== 'never';
  }

  #stopOffloading(reason: string | undefined): void {
    if (this.#isOffloading && reason !== undefined) this.#wish.note('copy_file_range', reason);
    this.#isOffloading = false;
    this.#method = 'read-write';
  }

  /* From where we are to `end`. False when the source ended before. */
  *#copy(end: number): Steps<boolean> {
    const { size } = this.#source.stat;
    while (this.#at < end) {
      const isOffloading = this.#isOffloading;
      const moved = yield* isOffloading ? this.#offload(end) : this.#transfer(end);
      if (moved === 0 && !isOffloading) return false;
      if (moved > 0 && this.#at < size) this.#tell(size);
    }
    return true;
  }

  /*
   * One call. Kernels 5.3 to 5.18 answer 0 for files under
   * /proc and /sys (copy_file_range(2), BUGS): only read(2) knows the end.
   */
  *#offload(end: number): Steps<number> {
    const copy = this.#copying(Math.min(end - this.#at, RANGE_BYTES));
    yield this.#withWriteback(copy, copy.length);
    return this.#took(copy);
  }

  /* The bytes that were copied; 0 when it is to be tried by reading. */
  #took(copy: Operation): number {
    if (copy.result > 0) return this.#advance(copy.result);
    if (copy.result === 0) {
      this.#stopOffloading('it moved nothing');
      return 0;
    }
    const error = this.#refused(copy, 'write');
    if (!CANNOT.includes(error.code)) throw error;
    this.#stopOffloading(error.code);
    return 0;
  }

  #copying(length: number): Operation {
    const copy = new Operation(Code.CopyRange);
    copy.fd = this.#target.fd;
    copy.fd2 = this.#source.fd;
    copy.offset = this.#at;
    copy.length = length;
    return copy;
  }

  /* The device writes while we go on: of 512 MiB the sync at the end took 1.4 s without. */
  #withWriteback(operation: Operation, length: number): Operation {
    if (!this.#wish.isSynced || length < WRITEBACK_BYTES_MIN) return operation;
    const start = new Operation(Code.StartWriteback);
    start.flags = Writeback.Start;
    start.fd = this.#target.fd;
    start.offset = this.#at;
    start.length = length;
    return linked(operation, start);
  }

  *#transfer(end: number): Steps<number> {
    const { stat } = this.#source;
    const wanted = Math.max(PIECE_BYTES_MIN, Math.min(stat.size - this.#at, PIECE_BYTES));
    this.#buffer ??= libraryMemory(alignUp(wanted, HOLE_BYTES));
    const left = end - this.#at;
    const count = Math.min(Math.floor(left / this.#buffer.length), PIECES_MAX);
    if (!this.#findsZeros && count > 1) return yield* this.#pieces(this.#buffer, count);
    const room = this.#buffer.subarray(0, Math.min(this.#buffer.length, left));
    const reading = this.#moving(this.#source, Code.Read, this.#at, room);
    const length = yield* transferSteps(reading);
    const bytes = room.subarray(0, length);
    if (length === 0) return 0;
    if (!this.#findsZeros) yield* this.#write(bytes, 0, length);
    else yield* this.#writeWhatIsNotZero(bytes);
    return this.#advance(length, this.#written);
  }

  /* Counts bytes that were copied; `written`: where the last one that was written ends. */
  #advance(length: number, written: number = this.#at + length): number {
    this.#at += length;
    this.#dataBytes += length;
    this.#written = written;
    return length;
  }

  /*
   * Reads and writes in turn through one piece of memory, in one run. Where that stops, for a short
   * call or at the end of the source, the transfer that was cut short goes on alone.
   */
  *#pieces(memory: Uint8Array, count: number): Steps<number> {
    const transfers: Transfer[] = [];
    for (let index = 0; index < count; index++) {
      const offset = this.#at + index * memory.length;
      transfers.push(this.#moving(this.#source, Code.Read, offset, memory));
      transfers.push(this.#moving(this.#target, Code.Write, offset, memory));
    }
    const [head, ...rest] = transfers.map((one) => one.next() as Operation);
    yield this.#withWriteback(linked(head as Operation, ...rest), count * memory.length);
    for (const { operation } of transfers) operation.next = undefined;
    let moved = 0;
    let isStopped = false;
    for (let index = 0; index < transfers.length && !isStopped; index += 2) {
      const [reading, writing] = [transfers[index] as Transfer, transfers[index + 1] as Transfer];
      const isRead = reading.operation.result === memory.length;
      reading.take();
      const length = reading.bytesDone;
      isStopped = !isRead || writing.operation.result !== memory.length;
      if (isRead) {
        writing.take();
        if (isStopped) yield* transferSteps(writing);
      } else if (length > 0) {
        const view = memory.subarray(0, length);
        yield* transferSteps(this.#moving(this.#target, Code.Write, this.#at, view));
      }
      moved += this.#advance(length);
    }
    return moved;
  }

  #moving(file: Target, code: 1 | 2, offset: number, view: Uint8Array): Transfer {
    const sequence: Sequence = { views: [view], byteLength: view.length };
    return new Transfer(file, sequence, { code, offset, isWhole: true });
  }

  *#write(bytes: Uint8Array, from: number, to: number): Steps<void> {
    if (from >= to) return;
    const offset = this.#at + from;
    yield* transferSteps(this.#moving(this.#target, Code.Write, offset, bytes.subarray(from, to)));
    this.#written = this.#at + to;
  }

  *#writeWhatIsNotZero(bytes: Uint8Array): Steps<void> {
    let from = 0;
    let at = 0;
    while (at < bytes.length) {
      const end = Math.min(at + HOLE_BYTES - ((this.#at + at) % HOLE_BYTES), bytes.length);
      if (ZEROS.compare(bytes, at, end, 0, end - at) === 0) {
        yield* this.#write(bytes, from, at);
        this.#dataBytes -= end - at;
        from = end;
      }
      at = end;
    }
    yield* this.#write(bytes, from, bytes.length);
  }

  /* --------------------------------------------------------------------------------- end */

  /* The hole at the end, and whether what was read is one state of the source. */
  *#end(): Steps<void> {
    const stat = new Operation(Code.Stat);
    stat.fd = this.#source.fd;
    const cut = new Operation(Code.Truncate);
    cut.fd = this.#target.fd;
    cut.length = this.#at;
    if (Math.max(this.#written, this.#given) !== this.#at) linked(stat, cut);
    yield stat;
    this.#check(stat);
    if (stat.next !== undefined && cut.result < 0) throw this.#refused(cut, 'write');
  }

  #check(stat: Operation): void {
    if (stat.result < 0) throw this.#refused(stat, 'inspect the source');
    const after = stat.stat as FileStat;
    if (hasChanged(this.#source.stat, after, this.#at)) throw changed(this.#source);
  }
}
