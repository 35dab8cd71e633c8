/**
 * Who in this process holds, or waits for, which bytes of which file: one queue for each file, in
 * the order of the calls. The kernel is asked by those alone whose turn it is.
 */
import type { Engine, Pause } from '../engine.js';

/** Bytes from `start` to before `end`, which is infinite for all there will ever be. */
export interface LockRange {
  readonly start: number;
  readonly end: number;
}

export function overlaps(one: LockRange, two: LockRange): boolean {
  return one.start < two.end && two.start < one.end;
}

/** What is left of a range when others are taken away. */
export function without(range: LockRange, others: readonly LockRange[]): LockRange[] {
  let left = [range];
  for (const cut of others) {
    left = left.flatMap((one) => {
      if (!overlaps(one, cut)) return [one];
      const parts = [
        { start: one.start, end: cut.start },
        { start: cut.end, end: one.end },
      ];
      return parts.filter(({ start, end }) => start < end);
    });
  }
  return left;
}

/** One who holds or waits. */
export class Claim {
  /** The open file it belongs to: in the kernel its locks are one owner's. */
  readonly home: object;
  readonly range: LockRange;
  exclusive: boolean;
  /** Its turn has come: nobody before it stands in the way. */
  isGranted = false;
  /** Holds a shared lock and waits for an exclusive one. */
  isUpgrading = false;
  isHeld = false;
  /** Being given up: of the same open file nobody may take these bytes before that has ended. */
  isReleasing = false;
  /** What another gave up, the kernel holds for this one: to be given up if it does not come. */
  inherits = false;
  /** Since when the kernel's lock is held, in milliseconds since 1970. */
  heldSinceMs: number | undefined = undefined;
  /** Where its steps stand still. */
  pause: Pause | undefined = undefined;

  constructor(home: object, range: LockRange, exclusive: boolean) {
    this.home = home;
    this.range = range;
    this.exclusive = exclusive;
  }

  /** What it holds, or waits for, is exclusive. */
  get wantsExclusive(): boolean {
    return this.exclusive || this.isUpgrading;
  }

  excludes(other: Claim): boolean {
    if (!overlaps(this.range, other.range)) return false;
    if ((this.isReleasing || other.isReleasing) && this.home === other.home) return true;
    return this.wantsExclusive || other.wantsExclusive;
  }
}

/** The claims on one file, first come first. */
export class Claims {
  readonly #all: Claim[] = [];
  readonly #forget: () => void;

  constructor(forget: () => void) {
    this.#forget = forget;
  }

  /** Puts a claim at the end of the queue. */
  enter(claim: Claim): void {
    this.#all.push(claim);
    this.#grant();
  }

  /** Takes a claim out, held or not; others' turn may come by that. */
  leave(claim: Claim): void {
    const at = this.#all.indexOf(claim);
    if (at < 0) return;
    this.#all.splice(at, 1);
    if (this.#all.length === 0) this.#forget();
    else this.#grant();
  }

  /** A claim has come to exclude less. */
  loosened(): void {
    this.#grant();
  }

  /** Whoever stands in the way of a claim that waits. */
  obstacle(claim: Claim): Claim | undefined {
    return this.#all.find((other) => other !== claim && other.isGranted && other.excludes(claim));
  }

  /** Another that holds bytes of this claim and waits for this claim to give them up. */
  rival(claim: Claim): Claim | undefined {
    return this.#all.find((other) => {
      return other !== claim && other.isUpgrading && overlaps(other.range, claim.range);
    });
  }

  /** Others of the same open file that hold bytes of this claim, or are about to. */
  beside(claim: Claim): Claim[] {
    return this.#all.filter((other) => {
      if (other === claim || other.home !== claim.home) return false;
      return other.isGranted && !other.isReleasing && overlaps(other.range, claim.range);
    });
  }

  /*
   * First come first: a claim waits for those before it and for those that have what it excludes.
   * So one who waits to be alone is not passed by those who would share.
   */
  #grant(): void {
    for (const [index, claim] of this.#all.entries()) {
      if (claim.isGranted) {
        if (claim.isUpgrading && this.obstacle(claim) === undefined) claim.pause?.wake();
        continue;
      }
      const isFree = this.#all.every((other, at) => {
        const counts = at < index || other.isGranted;
        return other === claim || !counts || !other.excludes(claim);
      });
      if (!isFree) continue;
      claim.isGranted = true;
      claim.pause?.wake();
    }
  }
}

/* One world for all engines of this kernel; a simulated disk is a world of its own. */
const thisKernel = new Map<string, Claims>();
const simulated = new WeakMap<Engine, Map<string, Claims>>();

function worldOf(engine: Engine): Map<string, Claims> {
  if (engine.name !== 'simulated') return thisKernel;
  const world = simulated.get(engine) ?? new Map<string, Claims>();
  simulated.set(engine, world);
  return world;
}

/** The queue of a file, by what tells it from every other. */
export function claimsOf(engine: Engine, identity: string): Claims {
  const world = worldOf(engine);
  let claims = world.get(identity);
  if (claims === undefined) {
    claims = new Claims(() => world.delete(identity));
    world.set(identity, claims);
  }
  return claims;
}
