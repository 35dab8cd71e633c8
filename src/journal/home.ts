/** The directory of a journal: its names, its files, and their becoming durable. */

import type { Engine, Steps } from '../engine.js';
import { fileSteps, type OpenFile, type OpenOptions } from '../file.js';
import { lsnInName, nameKind } from '../frames.js';
import { canHold, type Held, holdSteps, letGo, Names, nameIn, reading, refused } from '../held.js';
import { Code, errnoOf, Operation, type Place } from '../platform.js';

const NAMES_BYTES = 16384;
const DIRECTORY_MODE = 0o777;

/** What stands in the directory. */
export interface Listing {
  /** First LSNs of segments, ascending. */
  readonly segments: readonly number[];
  readonly spares: readonly string[];
  /** Bytes that recoveries and repairs put aside. */
  readonly kept: readonly string[];
  /** Names that are not the journal's; nobody touches them. */
  readonly strangers: readonly string[];
}

/** A directory of a journal, open. */
export class Home {
  readonly engine: Engine;
  readonly held: Held;

  constructor(engine: Engine, held: Held) {
    this.engine = engine;
    this.held = held;
  }

  get path(): string {
    return this.held.place.path;
  }

  /** The place of a name in it. */
  place(name: string): Place {
    return nameIn(this.held, name);
  }

  /** Whether its names can be made durable by themselves; the reason where not. */
  get syncs(): true | string {
    return canHold(this.engine) ? true : this.engine.capabilities['directory-sync'];
  }

  /** What stands in it now. Errors: `IoError`. */
  *list(): Steps<Listing> {
    const names: string[] = [];
    yield* this.#rewind();
    const memory = new Uint8Array(NAMES_BYTES);
    for (let isWhole = false; !isWhole; ) {
      const read = reading(this.held, memory);
      yield* this.#asked(read, 'list the journal');
      const some = new Names(read);
      names.push(...some.names);
      isWhole = some.isWhole;
    }
    const of = (kind: string): string[] => names.filter((name) => nameKind(name) === kind).sort();
    const segments = of('segment').map(lsnInName);
    return { segments, spares: of('spare'), kept: of('kept'), strangers: of('stranger') };
  }

  /* getdents64(2) goes on from where it was. */
  *#rewind(): Steps<void> {
    if (this.held.fd < 0) return;
    const seek = new Operation(Code.Seek);
    seek.fd = this.held.fd;
    seek.offset = 0;
    yield seek;
  }

  /** Makes the names in it durable. Errors: `IoError`. */
  *sync(): Steps<void> {
    if (this.held.fd < 0) return;
    const sync = new Operation(Code.Sync);
    sync.fd = this.held.fd;
    yield* this.#asked(sync, 'sync the directory of the journal');
  }

  /** Gives a file another name; one of that name is replaced. Errors: `IoError`. */
  *rename(from: string, to: string): Steps<void> {
    const rename = new Operation(Code.Rename);
    rename.place = this.place(from);
    rename.place2 = this.place(to);
    yield* this.#asked(rename, `rename ${from} to ${to}`);
  }

  /** Errors: `IoError`; that there is none is none. */
  *remove(name: string): Steps<void> {
    const unlink = new Operation(Code.Unlink);
    unlink.place = this.place(name);
    yield unlink;
    if (unlink.result >= 0 || unlink.result === errnoOf('ENOENT')) return;
    throw refused(unlink, { action: `remove ${name}`, path: this.place(name).path });
  }

  /** Opens a file in it; `flags` are added. Errors: `IoError`. */
  open(name: string, options: OpenOptions, flags = 0): Steps<OpenFile> {
    return fileSteps(this.engine, this.place(name), options, flags);
  }

  close(): Steps<void> {
    return letGo(this.held);
  }

  *#asked(operation: Operation, action: string): Steps<void> {
    yield operation;
    if (operation.result >= 0) return;
    const step = operation.code === Code.Sync ? 'sync the directory' : 'directory';
    throw refused(operation, { action, step, path: this.path });
  }
}

/* The name of a directory just made is durable when the one above it is. */
function* makeSteps(engine: Engine, place: Place): Steps<void> {
  const make = new Operation(Code.MakeDirectory);
  make.place = place;
  make.mode = DIRECTORY_MODE;
  yield make;
  if (make.result === errnoOf('EEXIST')) return;
  const action = 'make the directory of the journal';
  if (make.result < 0) throw refused(make, { action, path: place.path });
  const above = new Home(engine, yield* holdSteps(engine, place.parent(), 'all', action));
  try {
    yield* above.sync();
  } finally {
    yield* above.close();
  }
}

/** Opens the directory of a journal, and makes it if it may be absent. Errors: `IoError`. */
export function* homeSteps(engine: Engine, asked: Place, create: boolean): Steps<Home> {
  const place = asked.trimmed();
  if (create) yield* makeSteps(engine, place);
  return new Home(engine, yield* holdSteps(engine, place, 'all', 'open the journal'));
}
