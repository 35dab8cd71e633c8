/** Finds, checks and loads the addon. Never throws: what is missing is a reason. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { faultOfBinary, hasFormat } from './binary.js';
import { Code } from './operation.js';

/** What the addon exports on every system: native/addon.c. */
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
  registerView(index: number, view: Uint8Array | undefined): number;
}

/** What it exports besides where there is io_uring. */
export interface RingAddon extends Addon {
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
  registerFile(index: number, fd: number): number;
}

export type AddonState =
  | { readonly addon: Addon; readonly reason: string }
  | { readonly addon: undefined; readonly reason: string };

function isPermissionModelOn(): boolean {
  return 'permission' in process && process.permission !== undefined;
}

function isAddon(value: unknown): value is Addon {
  if (typeof value !== 'object' || value === null) return false;
  const addon = value as Partial<Addon>;
  if (addon.rowBytes !== 64 || addon.codeCount !== Object.keys(Code).length) return false;
  return typeof addon.attach === 'function' && typeof addon.sealFrames === 'function';
}

/** Whether the addon knows io_uring at all; the kernel may still refuse it. */
export function hasRing(addon: Addon): addon is RingAddon {
  return 'openRing' in addon;
}

/*
 * Systems on which nobody has run the addon yet: it compiles, links and is checked
 * (test/addon-darwin.test.ts), and runs under Wine, which is not enough to be given anybody's data
 * unasked.
 */
const UNTRIED: Readonly<Record<string, string>> = {
  darwin:
    'the addon for macOS was compiled and linked, but we have not run it yet; ' +
    'it is used when asked for by name',
  win32:
    'the addon for Windows was run under Wine, but we have not run it on Windows yet; ' +
    'it is used when asked for by name',
};

/** Why the addon of this system is used only when it is asked for by name, if so. */
export const untried: string | undefined = UNTRIED[process.platform];

const BUNDLED = 'the library is in a bundle, and the addon is not';

function load(isNamed: boolean): AddonState {
  const { platform, arch } = process;
  if (!hasFormat(platform)) {
    return { addon: undefined, reason: `there is no addon for ${platform}` };
  }
  if (isPermissionModelOn()) {
    /* A native open bypasses --permission (nodejs.org/api/permissions.html). */
    const reason = 'the permission model is on, and native calls would go round it';
    return { addon: undefined, reason };
  }
  const target = `${platform}-${arch}`;
  /* In a bundle of CommonJS there is no telling where the library was. */
  if (import.meta.url === undefined) return { addon: undefined, reason: BUNDLED };
  const path = fileURLToPath(new URL(`../prebuilds/${target}/holdfast.node`, import.meta.url));
  try {
    const fault = faultOfBinary(path, { platform, arch });
    if (fault !== undefined) return { addon: undefined, reason: fault };
    if (untried !== undefined && !isNamed) {
      return { addon: undefined, reason: untried };
    }
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
let wasNamed = false;

/**
 * The addon, or the reason why there is none; decided once, and once more when an engine that needs
 * it is asked for by name.
 */
export function loadAddon(isNamed = false): AddonState {
  if (state === undefined || (state.addon === undefined && isNamed && !wasNamed)) {
    state = load(isNamed);
    wasNamed = isNamed;
  }
  return state;
}
