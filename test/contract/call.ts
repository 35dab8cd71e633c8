/** Calls of an open file by the name of the waiting or the other face. */
import { AbortError, IoError, type OpenFile } from 'holdfast';
import type { Face } from '../file/doors.js';

/** A call of a file that has both faces. */
export type CallName =
  | 'readAt'
  | 'writeAt'
  | 'readSomeAt'
  | 'writeSomeAt'
  | 'append'
  | 'read'
  | 'write'
  | 'seek'
  | 'readAll'
  | 'stat'
  | 'truncate'
  | 'sync'
  | 'syncData'
  | 'syncBarrier'
  | 'allocate'
  | 'punchHole'
  | 'zeroRange'
  | 'collapseRange'
  | 'advise'
  | 'setWriteLifetime'
  | 'startWriteback';

type Answer<Name extends CallName> = Awaited<ReturnType<OpenFile[Name]>>;
type Arguments<Name extends CallName> = Parameters<OpenFile[Name]>;

/** Makes a call by a face; what the waiting one throws arrives as a rejection too. */
export async function callBy<Name extends CallName>(
  face: Face,
  file: OpenFile,
  name: Name,
  ...values: Arguments<Name>
): Promise<Answer<Name>> {
  const method = face === 'sync' ? (`${name}Sync` as const) : name;
  const call = file[method] as (...values: unknown[]) => Answer<Name> | Promise<Answer<Name>>;
  return call.apply(file, values);
}

/** The code, the kind and, where there is one, the count of bytes of a refusal; else the answer. */
export async function toldBy(work: () => unknown): Promise<unknown> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (!(error instanceof IoError) && !(error instanceof AbortError))
      return `${error.name} ${code}`;
    const { kind, bytesDone } = error;
    return bytesDone === undefined ? `${code} ${kind}` : `${code} ${kind} after ${bytesDone}`;
  }
}
