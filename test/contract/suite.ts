/**
 * What every engine means by the same call: a table of situations and of what each comes to. A body
 * knows an engine and a place, never which engine it is; what an engine cannot do is a capability.
 */
import type { Engine, OpenFile } from 'holdfast';
import type { Doors } from '../file/doors.js';
import { type CallName, callBy, toldBy } from './call.js';
import { fileClauses } from './clauses-file.js';
import { queueClauses } from './clauses-queue.js';
import { replaceClauses } from './clauses-replace.js';
import { spaceClauses } from './clauses-space.js';

/** A folder in the world of an engine, looked at from beside the engine. */
export interface Place {
  readonly directory: string;
  put(name: string, bytes: Uint8Array): void;
  content(name: string): Uint8Array | undefined;
  names(): string[];
}

/** What a body has to play with. */
export class Stage {
  readonly doors: Doors;
  readonly place: Place;
  /** What has been told, in order. */
  readonly told: unknown[] = [];

  constructor(doors: Doors, place: Place) {
    this.doors = doors;
    this.place = place;
  }

  get engine(): Engine {
    return this.doors.engine;
  }

  path(name: string): string {
    return `${this.place.directory}/${name}`;
  }

  /** A file of these bytes, open for reading and writing. */
  open(bytes: Uint8Array, name = 'file', doors: Doors = this.doors): Promise<OpenFile> {
    this.place.put(name, bytes);
    return doors.open(this.path(name), { access: 'read-write' });
  }

  /** Remembers what work comes to: its answer, or code, kind and bytesDone of the refusal. */
  async tell(work: () => unknown): Promise<void> {
    this.told.push(await toldBy(work));
  }

  call<Name extends CallName>(file: OpenFile, name: Name, ...values: Parameters<OpenFile[Name]>) {
    return callBy(this.doors.face, file, name, ...values);
  }
}

export interface Clause {
  readonly name: string;
  readonly needs?: readonly (keyof Engine['capabilities'])[];
  /** Plays; the answer, or `stage.told`, has to equal `comesTo`. */
  readonly body: (stage: Stage) => Promise<unknown>;
  readonly comesTo: unknown;
}

export const contract: readonly Clause[] = [
  ...fileClauses,
  ...spaceClauses,
  ...replaceClauses,
  ...queueClauses,
];
