/** The logical sector of a volume: what the kernel demands of direct I/O there. */
import type { Steps } from '../engine.js';
import {
  type FileStat,
  numbersOfNode,
  type Place,
  refusal,
  volumeQuestion,
  volumeSizes,
} from '../platform.js';
import { btrfsOf, sectorOfNumbers } from './device.js';
import { heldPath, leave, locate, type Spot } from './locate.js';
import { mountOfDescriptor } from './mounts.js';
import { numbersOfMount } from './volume.js';

/* btrfs checks sums over sectors of its own, which may be larger than the device's. */
function sectorOfMount(fd: number, path: string): number | undefined {
  const mount = fd < 0 ? '' : mountOfDescriptor(fd, path);
  if (typeof mount === 'string') return undefined;
  const numbers = numbersOfMount(mount);
  if (numbers === undefined) return undefined;
  const own = mount.type === 'btrfs' ? btrfsOf(numbers)?.sectorBytes : undefined;
  return own ?? sectorOfNumbers(numbers);
}

/** Of what a descriptor is open on; read at once, before anybody can close it. */
export function sectorOfDescriptor(fd: number, path: string): number | undefined {
  const own = fd < 0 ? undefined : numbersOfNode(`/proc/self/fd/${fd}`);
  return own === undefined ? sectorOfMount(fd, path) : sectorOfNumbers(own);
}

/** What statx(2) tells of a file, if anything. */
export function sectorTold(stat: FileStat): number | undefined {
  const bytes = stat.direct?.offset ?? 0;
  return bytes > 0 ? bytes : undefined;
}

function* sectorOfSpot(spot: Spot, asked: Place): Steps<number> {
  const told = sectorTold(spot.stat);
  if (told !== undefined) return told;
  const sector = sectorOfDescriptor(spot.fd, spot.place.path);
  if (sector !== undefined) return sector;
  const question = volumeQuestion(heldPath(spot));
  yield question;
  if (question.result >= 0) return volumeSizes(question).blockBytes;
  const context = { action: 'find the sector', syscall: 'statfs', path: asked.path };
  throw refusal(question.result, context);
}

/** Of the volume that a path lies on. Errors: `IoError`. */
export function* sectorSteps(asked: Place): Steps<number> {
  const spot = yield* locate(asked);
  try {
    return yield* sectorOfSpot(spot, asked);
  } finally {
    yield* leave(spot);
  }
}
