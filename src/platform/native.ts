/** Finds, checks and loads the addon. Never throws: what is missing is a reason. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Code } from './operation.js';

/** What the addon exports: native/addon.c. */
export interface Addon {
  readonly viewCountMax: number;
  readonly rowBytes: number;
  readonly codeCount: number;
  attach(
    rows: Uint8Array,
    syncRows: Uint8Array,
    pairs: Float64Array,
    wake: () => void,
    threads: number,
  ): void;
  perform(count: number, payloads: readonly unknown[]): void;
  performView(view: Uint8Array): void;
  performAgain(): void;
  submit(count: number, payloads: readonly unknown[], first: number): number;
  reap(first: number): number;
  wait(timeoutMs: number): void;
  cancel(slot: number): void;
  setThreads(count: number): void;
  addressOf(view: Uint8Array): number;
  readonly pageBytes: number;
  mapLook(handle: number): number;
  mapForget(handle: number): void;
  mapsGuarded(): boolean;
  crc32c(view: Uint8Array, seed: number): number;
  sealFrames(memory: Uint8Array, place: Float64Array): boolean;
  openRing(
    info: Float64Array,
    rows: Uint8Array,
    pairs: Float64Array,
    wake: () => void,
  ): readonly [step: string, errno: number] | undefined;
  ringSubmit(count: number, payloads: readonly unknown[], first: number): number;
  ringReap(first: number): number;
  ringHeard(first: number): number;
  ringWait(count: number, timeoutMs: number, first: number): number;
  ringCancel(slot: number): void;
  registerView(index: number, view: Uint8Array | undefined): number;
  registerFile(index: number, fd: number): number;
}

export type AddonState =
  | { readonly addon: Addon; readonly reason: string }
  | { readonly addon: undefined; readonly reason: string };

/* e_machine of elf(5) for the CPUs Node runs on. */
const MACHINES: Readonly<Record<string, number>> = { x64: 62, arm64: 183, ia32: 3, arm: 40 };
const ELF_MAGIC = 0x464c457f;

function isPermissionModelOn(): boolean {
  return 'permission' in process && process.permission !== undefined;
}

/*
 * dlopen(3) of a truncated library maps pages past the end of the file and dies of SIGBUS when it
 * relocates them (glibc 2.36), so the length is checked first: the section headers stand last.
 */
function faultOfElf(path: string): string | undefined {
  const fd = openSync(path, 'r');
  try {
    const size = fstatSync(fd).size;
    const head = Buffer.alloc(64);
    if (readSync(fd, head, 0, 64, 0) < 64) return 'the addon is truncated';
    if (head.readUInt32LE(0) !== ELF_MAGIC) return 'the addon is not an ELF file';
    const machine = MACHINES[process.arch];
    if (machine !== undefined && head.readUInt16LE(18) !== machine) {
      return `the addon is for another CPU than ${process.arch}`;
    }
    const sections = Number(head.readBigUInt64LE(40));
    const end = sections + head.readUInt16LE(58) * head.readUInt16LE(60);
    return end > size ? 'the addon is truncated' : undefined;
  } finally {
    closeSync(fd);
  }
}

function isAddon(value: unknown): value is Addon {
  if (typeof value !== 'object' || value === null) return false;
  const addon = value as Partial<Addon>;
  if (addon.rowBytes !== 64 || addon.codeCount !== Object.keys(Code).length) return false;
  return typeof addon.attach === 'function' && typeof addon.sealFrames === 'function';
}

function load(): AddonState {
  if (process.platform !== 'linux') {
    return { addon: undefined, reason: `there is no addon for ${process.platform} yet` };
  }
  if (isPermissionModelOn()) {
    /* A native open bypasses --permission (nodejs.org/api/permissions.html). */
    const reason = 'the permission model is on, and native calls would go round it';
    return { addon: undefined, reason };
  }
  const target = `${process.platform}-${process.arch}`;
  const path = fileURLToPath(new URL(`../prebuilds/${target}/holdfast.node`, import.meta.url));
  try {
    const fault = faultOfElf(path);
    if (fault !== undefined) return { addon: undefined, reason: fault };
    const loaded: unknown = createRequire(import.meta.url)(path);
    if (isAddon(loaded)) return { addon: loaded, reason: `the addon for ${target} is loaded` };
    return { addon: undefined, reason: 'the addon is of another version' };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { addon: undefined, reason: `no addon built for ${target}` };
    return { addon: undefined, reason: `the addon does not load: ${code ?? ''} ${message}` };
  }
}

let state: AddonState | undefined;

/** The addon, or the reason why there is none; decided once. */
export function loadAddon(): AddonState {
  state ??= load();
  return state;
}
