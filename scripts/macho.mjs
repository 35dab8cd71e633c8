// Empties what a library for macOS tells of names that nobody outside calls: what `strip -x` leaves
// out, and what zig's linker exports beside (it takes hidden symbols for visible ones).
//
// Nothing is moved: names become zeros, which pack to nothing, the trie of exports is written anew
// in the room of the old one, and each page is signed again. 2.7 KB packed of 18 for each.
// Source: mach-o/loader.h, mach-o/nlist.h; cs_blobs.h of xnu for the signature.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const LC_SYMTAB = 0x2;
const LC_SEGMENT_64 = 0x19;
const LC_CODE_SIGNATURE = 0x1d;
const LC_DYLD_INFO_ONLY = 0x80000022;
const SYMBOL_BYTES = 16;

function commandsOf(file) {
  const commands = [];
  for (let at = 32; commands.length < file.readUInt32LE(16); at += file.readUInt32LE(at + 4)) {
    commands.push({ kind: file.readUInt32LE(at), at });
  }
  return commands;
}

const ofKind = (file, kind) => commandsOf(file).find((command) => command.kind === kind)?.at;

/** Symbols that are undefined, or seen from outside, keep their names; answers the latter. */
function emptyNames(file) {
  const at = ofKind(file, LC_SYMTAB);
  const [first, count, names, bytes] = [8, 12, 16, 20].map((place) =>
    file.readUInt32LE(at + place),
  );
  const kept = new Uint8Array(bytes);
  const seen = [];
  for (let place = first; place < first + count * SYMBOL_BYTES; place += SYMBOL_BYTES) {
    const type = file[place + 4];
    const isUndefined = (type & 0x0e) === 0;
    const isOutside = (type & 0x11) === 0x01;
    const start = file.readUInt32LE(place);
    const end = file.indexOf(0, names + start) - names;
    if (isUndefined || isOutside) {
      kept.fill(1, start, end);
      const name = file.toString('latin1', names + start, names + end);
      if (!isUndefined) seen.push({ name, address: Number(file.readBigUInt64LE(place + 8)) });
    } else {
      file.writeUInt32LE(0, place);
      file.writeBigUInt64LE(0n, place + 8);
    }
  }
  for (let place = 0; place < bytes; place++) if (!kept[place]) file[names + place] = 0;
  return seen;
}

/* Seven bits a byte, the lowest first. */
function uleb(number) {
  if (number < 0x80) return [number];
  return [(number & 0x7f) | 0x80, ...uleb(Math.floor(number / 0x80))];
}

const text = (string) => [...Buffer.from(`${string}\0`, 'latin1')];

/*
 * A root, the beginning that all names share, and a leaf for each. A node is: bytes of what it
 * exports, that (flags, address), how many edges, and of each its letters and where it leads.
 */
function exportTrie(symbols) {
  const names = symbols.map(({ name }) => name);
  let shared = names[0] ?? '';
  while (!names.every((name) => name.startsWith(shared))) shared = shared.slice(0, -1);
  const rests = names.map((name) => name.slice(shared.length));
  const isPlain = new Set(rests.map((rest) => rest[0])).size === rests.length && shared !== '';
  if (names.length < 2 || !isPlain || rests.includes('')) throw new Error(`exports: ${names}`);
  const leaves = symbols.map(({ address }) => {
    const what = [...uleb(0), ...uleb(address)];
    return [what.length, ...what, 0];
  });
  const root = [0, 1, ...text(shared)];
  const fork = [0, leaves.length];
  const edges = rests.map(text);
  const forkAt = root.length + 1;
  // Every offset is below 128, and so takes one byte.
  let at = forkAt + fork.length + edges.flat().length + edges.length;
  const led = edges.flatMap((edge, index) => {
    const here = at;
    at += leaves[index].length;
    return [...edge, here];
  });
  if (at > 127) throw new Error('exports: more than a byte tells');
  return Buffer.from([...root, forkAt, ...fork, ...led, ...leaves.flat()]);
}

function writeExports(file, symbols) {
  const at = ofKind(file, LC_DYLD_INFO_ONLY);
  const [offset, bytes] = [file.readUInt32LE(at + 40), file.readUInt32LE(at + 44)];
  const trie = exportTrie(symbols);
  if (trie.length > bytes) throw new Error('exports: no room');
  file.fill(0, offset, offset + bytes);
  trie.copy(file, offset);
}

/* The code directory stands first; one SHA-256 for each page of what it signs. */
function signAgain(file) {
  const at = ofKind(file, LC_CODE_SIGNATURE);
  if (at === undefined) return;
  const blob = file.readUInt32LE(at + 8);
  const directory = blob + file.readUInt32BE(blob + 16);
  const [hashes, slots, end] = [16, 28, 32].map((place) => file.readUInt32BE(directory + place));
  const [hashBytes, hashType, , pageBits] = file.subarray(directory + 36, directory + 40);
  if (file.readUInt32BE(directory) !== 0xfade0c02 || hashType !== 2) throw new Error('signature');
  for (let slot = 0; slot < slots; slot++) {
    const page = file.subarray(slot << pageBits, Math.min((slot + 1) << pageBits, end));
    const hash = createHash('sha256').update(page).digest();
    hash.copy(file, directory + hashes + slot * hashBytes);
  }
}

/** Where the segment begins that holds names, exports and the signature. */
function linkedFrom(file) {
  const segments = commandsOf(file).filter(({ kind }) => kind === LC_SEGMENT_64);
  return Number(file.readBigUInt64LE(segments.at(-1).at + 40));
}

export function emptyMachO(path) {
  const file = readFileSync(path);
  const before = Buffer.from(file.subarray(0, linkedFrom(file)));
  writeExports(file, emptyNames(file));
  signAgain(file);
  if (!before.equals(file.subarray(0, before.length))) throw new Error('more than names changed');
  writeFileSync(path, file);
}
