/** Reading all of a journal to see whether it is what was appended. */

import type { Engine, Steps } from '../engine.js';
import { FIRST_LSN, type TailKind } from '../frames.js';
import type { Place } from '../platform.js';
import type { Damage } from './damage.js';
import { type Home, homeSteps } from './home.js';
import { surveySteps } from './survey.js';

export interface VerifyProgress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

/** What a whole journal is like. */
export interface VerifyReport {
  /** No damage before the tail; the tail itself may be torn. */
  readonly isIntact: boolean;
  readonly tail: TailKind;
  readonly damage: readonly Damage[];
  readonly segmentCount: number;
  readonly recordCount: number;
  /** Places that a repair had to skip. */
  readonly gapCount: number;
  readonly bytes: number;
  readonly firstLsn: number;
  readonly nextLsn: number;
  readonly strangers: readonly string[];
}

type OnProgress = ((progress: VerifyProgress) => void) | undefined;

/** Reads everything, and goes on behind damage. Errors: `IoError`. */
export function* verifySteps(
  engine: Engine,
  place: Place,
  onProgress: OnProgress,
): Steps<VerifyReport> {
  const home = yield* homeSteps(engine, place, false);
  try {
    return yield* wholeSteps(home, onProgress);
  } finally {
    yield* home.close();
  }
}

function* wholeSteps(home: Home, onProgress: OnProgress): Steps<VerifyReport> {
  const listing = yield* home.list();
  const { segments, strangers } = listing;
  const verifyBytes = Number.POSITIVE_INFINITY;
  const told = (bytesDone: number, bytesTotal: number): void =>
    onProgress?.({ bytesDone, bytesTotal });
  const options = { verifyBytes, syncs: false, findsAll: true, onProgress: told };
  const survey = yield* surveySteps(home, listing, options);
  const { damage, tail, recordCount, gapCount, readBytes: bytes } = survey;
  const nextLsn = tail?.lsn ?? FIRST_LSN;
  return {
    isIntact: damage.length === 0,
    tail: tail?.kind ?? 'clean',
    damage,
    segmentCount: segments.length,
    recordCount,
    gapCount,
    bytes,
    firstLsn: Math.max(survey.trimLsn, survey.segments[0]?.head.firstLsn ?? nextLsn),
    nextLsn,
    strangers,
  };
}
