/** Commands that run a child where io_uring is refused, or rights are few. */
import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { hasTool, toolEnvironment } from '../support/child.js';
import { compiledProgram } from '../support/compile.js';
import { projectRoot } from '../support/scratch.js';

/** The numbers of the three system calls, the same on every CPU. */
export const ringCalls = { setup: 425, enter: 426, register: 427 } as const;
export type RingCall = keyof typeof ringCalls;

/** Why calls of our rings cannot be told from those of others here, or false if they can. */
export const otherRings: string | false =
  Number(process.versions.node.split('.')[0]) < 22
    ? false
    : 'libuv has rings of its own from Node 22 on, and ends the process where they are refused';

/** What a ring of native/ is made of, but for ring.c itself. */
export const ringParts: readonly string[] = [
  'ring_setup',
  'descriptors',
  'linux',
  'maps',
  'maps_guard',
].map((name) => `native/${name}.c`);

const NOBODY = 65534;
const LOCKED_BYTES = 65536;

/** Why a launcher cannot be had here, or undefined. */
export function refuserRefusal(): string | undefined {
  if (process.platform !== 'linux') return `seccomp needs Linux, this is ${process.platform}`;
  return hasTool('cc') ? undefined : 'cc is not installed';
}

/** Refuses these calls, as the filters of containers do, or a kernel that does not have them. */
export function refusing(
  code: 'EPERM' | 'ENOSYS',
  calls: readonly RingCall[] = ['setup', 'enter', 'register'],
): string[] {
  const numbers = calls.map((call) => ringCalls[call]).join(',');
  return [compiledProgram('ring/refuse'), String(constants.errno[code]), numbers];
}

/** A user without rights, who may lock 64 KiB of memory. */
export const asNobody: readonly string[] = [
  'prlimit',
  `--memlock=${LOCKED_BYTES}:${LOCKED_BYTES}`,
  '--',
  'setpriv',
  `--reuid=${NOBODY}`,
  `--regid=${NOBODY}`,
  '--clear-groups',
  '--',
];

export function nobodyRefusal(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root: it becomes another user';
  if (!hasTool('prlimit') || !hasTool('setpriv')) return 'prlimit and setpriv are not installed';
  const [program, ...words] = [...asNobody, process.execPath, '-e', '0'];
  const options = { env: toolEnvironment, cwd: projectRoot, timeout: 20_000 };
  const canRun = spawnSync(program as string, words, options).status === 0;
  const canRead = spawnSync(
    program as string,
    [...asNobody.slice(1), 'test', '-r', `${projectRoot}/package.json`],
    options,
  );
  return canRun && canRead.status === 0 ? undefined : 'the project is not readable by everyone';
}
