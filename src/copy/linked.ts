/** Files with several names in a tree: copied by the first of them, linked by the others. */
import type { Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { identityOf, looking } from '../held.js';
import { Code, linked, Operation, type Place } from '../platform.js';

/** A file with several names, by the first that was copied. */
export interface Linked<Job> {
  isCopied: boolean;
  /** Seen from the root of the target. */
  readonly path: string;
  readonly waiting: Job[];
  /** Which file the copy is, once it stands. */
  copy: string | undefined;
}

/** Takes note of which file stands at a place. Errors: none: where none stands no link is right. */
export function* noteCopy(file: Linked<unknown>, place: Place): Steps<void> {
  const look = looking(place);
  yield look;
  file.copy = look.stat === undefined ? undefined : identityOf(look.stat);
}

/** What gives a copy another name, and looks at what came of it. */
export function linkingTo(first: Place, place: Place): Operation {
  const link = new Operation(Code.Link);
  link.place = first;
  link.place2 = place;
  return linked(link, looking(place));
}

/**
 * Checks what `linkingTo` made: the first name is a path from the root, on which somebody may have
 * put another directory, or a link that leads elsewhere, in the meantime.
 *
 * Errors: `IoError` of kind `busy`; the name is gone again then.
 */
export function* checkLinked(link: Operation, file: Linked<unknown>): Steps<void> {
  const stat = link.next?.stat;
  if (stat !== undefined && identityOf(stat) === file.copy) return;
  const unlink = new Operation(Code.Unlink);
  unlink.place = link.place2;
  unlink.mustRun = true;
  yield unlink;
  throw new IoError({
    action: 'copy the tree: link',
    code: 'EBUSY',
    path: (link.place as Place).path,
    dest: (link.place2 as Place).path,
    step: 'link',
    words: 'the first name of the copy leads to another file by now',
  });
}
