/** A journal read beside its writer: how far it is durable, found out again and again. */

import type { Steps } from '../engine.js';
import { IoError } from '../errors.js';
import type { OpenFile } from '../file.js';
import { closeSteps } from '../file.js';
import { segmentName } from '../frames.js';
import type { Home } from './home.js';
import { lsnAt, offsetOf, scanSteps } from './scan.js';
import { factsSteps, isSound, readingSteps, type SegmentFacts, syncReadSteps } from './segment.js';
import type { Survey, Tail } from './survey.js';

/** What a reader knows of a journal that somebody else writes. */
export class Watcher {
  readonly home: Home;
  segments: readonly number[];
  firstLsn: number;
  /** Records below it are durable, and whole. */
  endLsn: number;
  /** That of the last of them; 0 for none. */
  lastLsn: number;

  constructor(home: Home, survey: Survey, firstLsn: number) {
    const tail = survey.tail as Tail;
    this.home = home;
    this.segments = survey.segments.map(({ head }) => head.firstLsn);
    this.firstLsn = firstLsn;
    this.endLsn = tail.lsn;
    this.lastLsn = tail.lastLsn;
  }

  /** Nobody recycles anything for the sake of a reader elsewhere; see `OpenSegment.faultAt`. */
  hold(): void {}

  letGo(): void {}

  /**
   * Looks for what was appended since, and makes sure that it is durable before it counts: what a
   * writer has not synced yet may never have been. Errors: `IoError`.
   */
  *refreshSteps(): Steps<void> {
    for (let isBehind = true; isBehind; ) {
      const { segments } = yield* this.home.list();
      if (segments.length === 0) return;
      this.segments = segments;
      this.firstLsn = Math.max(this.firstLsn, segments[0] as number);
      this.endLsn = Math.max(this.endLsn, this.firstLsn);
      const before = this.endLsn;
      const firstLsn = segments.filter((one) => one <= before).at(-1) as number;
      yield* this.#advance(firstLsn);
      /* A segment was rotated while its records were read: the next begins where it ended. */
      isBehind = this.segments.includes(this.endLsn) && this.endLsn !== before;
    }
  }

  *#advance(firstLsn: number): Steps<void> {
    let file: OpenFile | undefined;
    try {
      file = yield* readingSteps(this.home, firstLsn);
      const facts = yield* factsSteps(file, segmentName(firstLsn));
      if (isSound(facts)) yield* this.#scan(file, facts);
    } catch (error) {
      /* Trimmed since it was listed: the next look finds others. */
      if (!(error instanceof IoError && error.kind === 'not-found')) throw error;
    } finally {
      yield* closeSteps(file);
    }
  }

  *#scan(file: OpenFile, facts: SegmentFacts): Steps<void> {
    this.firstLsn = Math.max(this.firstLsn, Math.min(facts.mark.trimLsn, this.endLsn));
    const report = yield* scanSteps(file, facts, { from: offsetOf(facts, this.endLsn) });
    const endLsn = lsnAt(facts, report.end);
    if (endLsn <= this.endLsn) return;
    yield* syncReadSteps(this.home, file, { firstLsn: facts.head.firstLsn });
    this.endLsn = endLsn;
    this.lastLsn = report.lastLsn || this.lastLsn;
  }
}
