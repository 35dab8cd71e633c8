/** The new file of a replace under construction, as those see it who give it traits and a name. */
import type { Engine } from '../engine.js';
import {
  type Code,
  FD_OPENED_IN_RUN,
  type FileStat,
  nameOf,
  Operation,
  type Place,
} from '../platform.js';
import type { ReplaceSettings } from './options.js';
import { type Spot, untouched } from './spot.js';
import type { Refused, Task } from './tasks.js';

/** How the new file got its name. */
export type Method =
  | 'rename'
  | 'rename without replacing'
  | 'link'
  | 'link of an unnamed file'
  | 'exchange';

/** What could not be done as asked, and why. */
export interface Fallback {
  readonly what: string;
  readonly reason: string;
}

/** A file under construction. */
export class Draft {
  readonly engine: Engine;
  readonly settings: ReplaceSettings;
  /** The path asked for. */
  readonly path: string;
  readonly fallbacks: Fallback[] = [];
  /** The spot, with the traits that the new file is to have. */
  readonly spot: Spot;
  /** What stood there. */
  readonly old: FileStat | undefined;
  /** Its name until it has the target's; `undefined` while it has none. */
  temporary: Place | undefined;
  /** `FD_OPENED_IN_RUN` until it is open, -1 once it is closed. */
  fd: number = FD_OPENED_IN_RUN;
  bytes = 0;
  /** A file of ours stands under the temporary name. */
  exists = false;
  /** The target is the new file. */
  isNamed = false;
  isOwnerKept = true;
  /** No way was found to name a file that has no name: it is to be made again, with one. */
  wantsName = false;
  method: Method = 'rename';
  /** Size, blocks and name are to be committed together. */
  isOneCommit = false;
  durability: 'full' | 'file' | 'none' = 'none';
  /** Where the old file is, after an exchange. */
  oldPath: string | undefined;

  constructor(
    engine: Engine,
    { settings, path }: { readonly settings: ReplaceSettings; readonly path: string },
    spot: Spot,
  ) {
    this.engine = engine;
    this.settings = settings;
    this.path = path;
    const { takesAfter } = settings;
    this.old = spot.old;
    this.spot = takesAfter === undefined ? spot : { ...spot, ...takesAfter, old: takesAfter.stat };
  }

  /** A refusal that ends the replace, the target untouched. */
  strict(step: string): Refused {
    return (operation) => untouched(operation, step, this.path);
  }

  /** A refusal that is told in the report. */
  noted(what: string): Refused {
    return (operation) => {
      this.note(what, nameOf(operation.result));
      return undefined;
    };
  }

  note(what: string, reason: string): void {
    this.fallbacks.push({ what, reason });
  }

  /** A task on the file itself. */
  onFile(code: Code, refused: Refused, fill?: (operation: Operation) => void): Task {
    const operation = new Operation(code);
    operation.fd = this.fd;
    fill?.(operation);
    return { operation, refused };
  }
}
