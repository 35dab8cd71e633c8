/** Whether a file is a library for a system and CPU, and whole: its headers say how long it is. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** The addon of which system and CPU: `process.platform`, `process.arch`. */
export interface Target {
  readonly platform: string;
  readonly arch: string;
}

type Reader = (offset: number, length: number) => Buffer;

/** How a system's libraries look. What is read behind the end of a file reads as zeros. */
interface Format {
  readonly name: string;
  /** By `process.arch`, of the CPUs Node runs on. */
  readonly machines: Readonly<Record<string, number>>;
  readonly isOne: (head: Buffer, read: Reader) => boolean;
  readonly machine: (head: Buffer, read: Reader) => number;
  /** Bytes of the whole file: where the last thing ends that is mapped from it. */
  readonly end: (head: Buffer, read: Reader) => number;
}

const HEAD_BYTES = 64;
/* Of the tables that are walked: ours have 20 load commands and 12 sections. */
const TABLE_BYTES_MAX = 65536;

/* elf(5); the section headers stand last. */
const elf: Format = {
  name: 'an ELF file',
  machines: { x64: 62, arm64: 183, ia32: 3, arm: 40 },
  isOne: (head) => head.readUInt32LE(0) === 0x464c457f,
  machine: (head) => head.readUInt16LE(18),
  end: (head) => {
    const sections = Number(head.readBigUInt64LE(40));
    return sections + head.readUInt16LE(58) * head.readUInt16LE(60);
  },
};

const LC_SEGMENT_64 = 0x19;

/* mach-o/loader.h: struct mach_header_64, then load commands; a segment is mapped from the file. */
const machO: Format = {
  name: 'a Mach-O file',
  machines: { x64: 0x01000007, arm64: 0x0100000c },
  isOne: (head) => head.readUInt32LE(0) === 0xfeedfacf,
  machine: (head) => head.readUInt32LE(4),
  end: (head, read) => {
    const bytes = Math.min(head.readUInt32LE(20), TABLE_BYTES_MAX);
    const commands = read(32, bytes);
    let end = 32 + bytes;
    for (let at = 0; at + 56 <= bytes; ) {
      if (commands.readUInt32LE(at) === LC_SEGMENT_64) {
        const offset = Number(commands.readBigUInt64LE(at + 40));
        end = Math.max(end, offset + Number(commands.readBigUInt64LE(at + 48)));
      }
      at += Math.max(8, commands.readUInt32LE(at + 4));
    }
    return end;
  },
};

const SECTION_BYTES = 40;

/* "PE Format", learn.microsoft.com: the offset of the header stands at 60, sections behind it. */
const pe: Format = {
  name: 'a PE file',
  machines: { x64: 0x8664, arm64: 0xaa64, ia32: 0x14c },
  isOne: (head, read) =>
    head.readUInt16LE(0) === 0x5a4d && read(head.readUInt32LE(60), 4).readUInt32LE(0) === 0x4550,
  machine: (head, read) => read(head.readUInt32LE(60), 6).readUInt16LE(4),
  end: (head, read) => {
    const at = head.readUInt32LE(60);
    const header = read(at, 24);
    const first = at + 24 + header.readUInt16LE(20);
    const bytes = Math.min(header.readUInt16LE(6) * SECTION_BYTES, TABLE_BYTES_MAX);
    const sections = read(first, bytes);
    let end = first + bytes;
    for (let row = 0; row + SECTION_BYTES <= bytes; row += SECTION_BYTES) {
      end = Math.max(end, sections.readUInt32LE(row + 20) + sections.readUInt32LE(row + 16));
    }
    return end;
  },
};

const FORMATS: Readonly<Record<string, Format>> = { linux: elf, darwin: machO, win32: pe };

/** True where there is a kind of library that could be looked for. */
export function hasFormat(platform: string): boolean {
  return Object.hasOwn(FORMATS, platform);
}

/**
 * Why a file is not to be loaded, if so. dlopen(3) of a truncated library maps pages past the end
 * of the file and dies of SIGBUS when it relocates them (glibc 2.36), so the length is looked at.
 *
 * Errors: those of opening and reading it.
 */
export function faultOfBinary(path: string, { platform, arch }: Target): string | undefined {
  const format = FORMATS[platform] as Format;
  const fd = openSync(path, 'r');
  const read: Reader = (offset, length) => {
    const bytes = Buffer.alloc(length);
    readSync(fd, bytes, 0, length, offset);
    return bytes;
  };
  try {
    const { size } = fstatSync(fd);
    const head = read(0, HEAD_BYTES);
    if (size < HEAD_BYTES) return 'the addon is truncated';
    if (!format.isOne(head, read)) return `the addon is not ${format.name}`;
    const machine = format.machines[arch];
    if (machine !== undefined && format.machine(head, read) !== machine) {
      return `the addon is for another CPU than ${arch}`;
    }
    return format.end(head, read) > size ? 'the addon is truncated' : undefined;
  } finally {
    closeSync(fd);
  }
}
