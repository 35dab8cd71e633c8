/** Numbers of refusals to names, and names to `IoError`: the one place where that happens. */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { IoError, type IoErrorFields } from '../errors.js';

/* EDQUOT and EREMOTEIO have no name in libuv 1.48 (util.getSystemErrorName(-122) throws). */
const ADDED_ON_LINUX: Readonly<Record<string, number>> = { EREMOTEIO: -121, EDQUOT: -122 };

let names: Map<number, string> | undefined;
let numbers: Map<string, number> | undefined;

/* On Windows libuv has numbers of its own, and these are those of the C library. */
const ofSystem: Readonly<Record<string, number>> =
  process.platform === 'win32' ? {} : constants.errno;
const added = process.platform === 'linux' ? ADDED_ON_LINUX : {};

function fillTables(): void {
  names = new Map();
  numbers = new Map();
  for (const [name, number] of Object.entries(ofSystem)) names.set(-number, name);
  for (const [name, number] of Object.entries(added)) names.set(number, name);
  for (const [number, [name]] of getSystemErrorMap()) names.set(number, name);
  /* A number has one name, but several names may stand for it: EOPNOTSUPP is ENOTSUP on Linux. */
  for (const [name, number] of Object.entries(ofSystem)) numbers.set(name, -number);
  for (const [number, name] of names) numbers.set(name, number);
}

/** The code of a negative number. */
export function nameOf(errno: number): string {
  if (names === undefined) fillTables();
  return names?.get(errno) ?? `ERRNO_${-errno}`;
}

/** The negative number of a code on this system; -1 for one it does not have. */
export function errnoOf(code: string): number {
  if (numbers === undefined) fillTables();
  return numbers?.get(code) ?? -1;
}

/** What is known of a refusal beside its number. */
export type RefusalContext = Omit<IoErrorFields, 'code' | 'kind' | 'errno' | 'words'>;

/** The error for a result below 0. */
export function refusal(errno: number, context: RefusalContext): IoError {
  return new IoError({ ...context, code: nameOf(errno), errno });
}
