/** What damage in a journal is called, and the error that names it. */
import { IoError } from '../errors.js';

export interface Damage {
  /** The name of the file in the directory. */
  readonly segment: string;
  /** Bytes; where in the file the damage begins. */
  readonly offset: number;
  /** Where in the journal it begins. */
  readonly lsn: number;
  /** What was found there. */
  readonly problem: string;
  /** The first LSN behind it that can be read; `undefined` where nothing is known to follow. */
  readonly resumesAt: number | undefined;
}

/**
 * Bytes of the journal before its tail are not what was made durable.
 *
 * `lsn` is where the damage begins, `resumesAt` where what can be read goes on after it.
 */
export class JournalDamageError extends IoError {
  override readonly name: string = 'JournalDamageError';
  readonly segment: string;
  readonly lsn: number;
  readonly problem: string;
  readonly resumesAt: number | undefined;

  constructor(damage: Damage, directory: string, action: string) {
    const { segment, offset, lsn, problem, resumesAt } = damage;
    const after = resumesAt === undefined ? 'nothing is' : `from LSN ${resumesAt} on it is`;
    super({
      action: `${action}: ${segment} is damaged at offset ${offset}, LSN ${lsn}`,
      code: 'ERR_JOURNAL_DAMAGED',
      path: `${directory}/${segment}`,
      offset,
      words: `${problem}; ${after} known to be readable after it`,
    });
    this.segment = segment;
    this.lsn = lsn;
    this.problem = problem;
    this.resumesAt = resumesAt;
  }
}
