/**
 * What stands in a lock file: who holds it, for the messages of those who wait. It decides nothing,
 * the kernel's lock does; a record that is stale or missing makes a message poorer.
 */
import { environment } from '../platform.js';

export const RECORD_BYTES = 256;
const HOST_CHARACTERS_MAX = 128;

/** Who wrote a record, and when, in milliseconds since 1970. */
export interface OwnerRecord {
  readonly pid: number;
  readonly host: string;
  readonly sinceMs: number;
}

/* Always as long, so that one write replaces all of the one before. */
function padded(text: string): Uint8Array {
  const bytes = Buffer.alloc(RECORD_BYTES, ' ');
  bytes.write(text, 'latin1');
  bytes[RECORD_BYTES - 1] = 10;
  return bytes;
}

/** The record of a lock that nobody holds. */
export const blankRecord: Uint8Array = padded('');

/** The record of this process. */
export function ownRecord(sinceMs: number): Uint8Array {
  const host = environment
    .hostName()
    .replace(/[^\x21-\x7e]/g, '?')
    .slice(0, HOST_CHARACTERS_MAX);
  const since = new Date(sinceMs).toISOString();
  return padded(JSON.stringify({ pid: environment.processNumber, host, since }));
}

/** The owner a lock file names; `undefined` for a blank record, or for what is none. */
export function recordIn(bytes: Uint8Array): OwnerRecord | undefined {
  if (Buffer.compare(bytes, blankRecord) === 0) return undefined;
  try {
    const { pid, host, since } = JSON.parse(Buffer.from(bytes).toString('latin1'));
    const sinceMs = Date.parse(since);
    const isWhole = Number.isInteger(pid) && typeof host === 'string' && !Number.isNaN(sinceMs);
    return isWhole ? { pid, host, sinceMs } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether a file may be given a record: a new one, or one that has nothing but a record. Whoever
 * locks a file of data by its name does not have it written to.
 */
export function isForRecords(bytes: Uint8Array, size: number): boolean {
  if (size === 0) return true;
  if (size !== RECORD_BYTES || bytes.byteLength !== RECORD_BYTES) return false;
  return Buffer.compare(bytes, blankRecord) === 0 || recordIn(bytes) !== undefined;
}
