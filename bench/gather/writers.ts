/** Ways to write many views one after the other at the start of a file that exists. */
import {
  close,
  open,
  openSync,
  type promises,
  write,
  writeSync,
  writev,
  writevSync,
} from 'node:fs';
import * as fs from 'node:fs/promises';
import { promisify } from 'node:util';

export type Views = readonly Uint8Array[];

export interface Writer {
  readonly name: string;
  /** Writes all views; throws if not all of their bytes were written. */
  write(views: Views): void | Promise<void>;
  close(): void | Promise<void>;
}

/** By the names under which they are reported. */
export const writerNames = [
  'await file.writeAt',
  'file.writeAtSync',
  'await fs.writev',
  'await FileHandle.writev',
  'fs.writevSync',
  'await Buffer.concat + fs.write',
  'Buffer.concat + fs.writeSync',
] as const;

export type WriterName = (typeof writerNames)[number];

const [openLater, closeLater] = [promisify(open), promisify(close)];
const [writevLater, writeLater] = [promisify(writev), promisify(write)];

export async function openWriter(name: WriterName, path: string): Promise<Writer> {
  if (name.includes('file.writeAt')) return holdfastWriter(name, path);
  if (name === 'await FileHandle.writev') return handleWriter(name, await fs.open(path, 'r+'));
  const fd = await openLater(path, 'r+');
  return { name, write: nodeWrite(name, fd), close: () => closeLater(fd) };
}

async function holdfastWriter(name: WriterName, path: string): Promise<Writer> {
  const { openFile } = await import('holdfast');
  const file = await openFile(path, { access: 'write' });
  return {
    name,
    write:
      name === 'file.writeAtSync'
        ? (views) => void file.writeAtSync(views, 0)
        : async (views) => void (await file.writeAt(views, 0)),
    close: () => file.close(),
  };
}

function handleWriter(name: WriterName, handle: promises.FileHandle): Writer {
  return {
    name,
    write: async (views) => {
      expectWhole(views, (await handle.writev(views, 0)).bytesWritten);
    },
    close: () => handle.close(),
  };
}

function nodeWrite(name: WriterName, fd: number): Writer['write'] {
  switch (name) {
    case 'await fs.writev':
      return async (views) => {
        expectWhole(views, (await writevLater(fd, views, 0)).bytesWritten);
      };
    case 'fs.writevSync':
      return (views) => expectWhole(views, writevSync(fd, views, 0));
    case 'await Buffer.concat + fs.write':
      return async (views) => {
        const all = Buffer.concat(views);
        expectWhole(views, (await writeLater(fd, all, 0, all.length, 0)).bytesWritten);
      };
    case 'Buffer.concat + fs.writeSync':
      return (views) => {
        const all = Buffer.concat(views);
        expectWhole(views, writeSync(fd, all, 0, all.length, 0));
      };
    default:
      throw new TypeError(`There is no writer ${name}`);
  }
}

/** All views of a case are of one length. */
function expectWhole(views: Views, bytesWritten: number): void {
  const expected = views.length * (views[0]?.length ?? 0);
  if (bytesWritten !== expected) throw new Error(`short: ${bytesWritten} of ${expected} bytes`);
}

export type ViewKind = 'subarrays of one Buffer' | 'Uint8Arrays of their own';

/** Distinct views of one length, filled. */
export function makeViews(kind: ViewKind, count: number, length: number): Uint8Array[] {
  if (kind === 'subarrays of one Buffer') {
    const whole = Buffer.alloc(count * length, 'x');
    return Array.from({ length: count }, (_, i) => whole.subarray(i * length, (i + 1) * length));
  }
  return Array.from({ length: count }, () => new Uint8Array(length).fill(0x78));
}

/** Makes the file to be overwritten, in the page cache. */
export function makeFile(path: string, bytes: number): void {
  const fd = openSync(path, 'wx');
  for (let done = 0; done < bytes; ) {
    done += writeSync(fd, Buffer.alloc(Math.min(1 << 20, bytes - done), 'y'), 0, undefined, done);
  }
  close(fd);
}
