/** Opening a journal: the lock, the look at what is there, and what has to be done with it. */

import type { Engine, Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { LOCK_NAME } from '../frames.js';
import { type FileLock, lockFileSteps } from '../lock.js';
import type { Place } from '../platform.js';
import type { Fallback, Workshop } from './active.js';
import { JournalDamageError } from './damage.js';
import { type Home, homeSteps } from './home.js';
import type { JournalSettings } from './options.js';
import {
  createSteps,
  type RecoveryReport,
  reportOf,
  resumeSteps,
  type Standing,
} from './recovery.js';
import { repairSteps } from './repair.js';
import { type Survey, surveySteps } from './survey.js';

/** A journal that is open for writing. */
export interface OpenedForWriting {
  readonly shop: Workshop;
  readonly lock: FileLock | undefined;
  readonly standing: Standing;
}

/** A journal that is open for reading. */
export interface OpenedForReading {
  readonly home: Home;
  readonly survey: Survey;
  readonly report: RecoveryReport;
}

const ACTION = 'open the journal';

/* Without locks there is one writer because the program sees to it. */
function* lockSteps(
  home: Home,
  settings: JournalSettings,
  fallbacks: Fallback[],
): Steps<FileLock | undefined> {
  const { engine } = home;
  const reason = engine.capabilities.locks;
  if (reason !== true) {
    fallbacks.push({ what: 'lock', reason });
    return undefined;
  }
  const { mode, lockTimeoutMs: timeoutMs } = settings;
  const wish = { exclusive: true, primitive: 'ofd' as const, timeoutMs, mode };
  return yield* lockFileSteps(engine, home.place(LOCK_NAME), wish);
}

/** Opens a journal for writing. Errors: `IoError`, `LockHeldError`, `JournalDamageError`. */
export function* openForWriting(
  engine: Engine,
  place: Place,
  settings: JournalSettings,
): Steps<OpenedForWriting> {
  const home = yield* homeSteps(engine, place, settings.create);
  let lock: FileLock | undefined;
  let isKept = false;
  try {
    const fallbacks: Fallback[] = [];
    if (home.syncs !== true) fallbacks.push({ what: 'directory sync', reason: home.syncs });
    lock = yield* lockSteps(home, settings, fallbacks);
    const shop = { home, settings, fallbacks };
    const standing = yield* standingSteps(shop);
    isKept = true;
    return { shop, lock, standing };
  } finally {
    if (!isKept) {
      if (lock !== undefined) yield* lock.releaseSteps();
      yield* home.close();
    }
  }
}

/* What a crashed process did becomes durable before anything is decided: names, then files. */
function* standingSteps(shop: Workshop): Steps<Standing> {
  const { home, settings } = shop;
  yield* home.sync();
  let listing = yield* home.list();
  if (listing.segments.length === 0) return yield* createSteps(shop, listing);
  const { verifyBytes, repair } = settings;
  const options = { verifyBytes, syncs: true, findsAll: false };
  let survey = yield* surveySteps(home, listing, options);
  const mended = [];
  if (survey.damage.length > 0 && repair) {
    mended.push(...(yield* repairSteps(shop, listing)));
    listing = yield* home.list();
    survey = yield* surveySteps(home, listing, options);
  }
  const [damage] = survey.damage;
  if (damage !== undefined) throw new JournalDamageError(damage, home.path, ACTION);
  const standing = yield* resumeSteps(shop, survey, listing);
  return { ...standing, report: { ...standing.report, damage: mended } };
}

/** Opens a journal for reading; damage is told, and met by who reads there. Errors: `IoError`. */
export function* openForReading(
  engine: Engine,
  place: Place,
  { verifyBytes }: JournalSettings,
): Steps<OpenedForReading> {
  const home = yield* homeSteps(engine, place, false);
  let isKept = false;
  try {
    const listing = yield* home.list();
    if (listing.segments.length === 0) throw noJournal(home);
    const survey = yield* surveySteps(home, listing, { verifyBytes, syncs: true, findsAll: true });
    const [damage] = survey.damage;
    if (survey.tail === undefined && damage !== undefined) {
      throw new JournalDamageError(damage, home.path, ACTION);
    }
    isKept = true;
    return { home, survey, report: reportOf(survey, listing.strangers) };
  } finally {
    if (!isKept) yield* home.close();
  }
}

function noJournal({ path }: Home): IoError {
  const words = 'there is no journal in the directory';
  return new IoError({ action: ACTION, code: 'ENOENT', path, words });
}
