/** Replaces of one path take turns; who gives up meanwhile does not keep the others waiting. */
import { Turns } from '../engine.js';
import type { Patience } from './patience.js';

const turns = new Turns<string>();

/**
 * Does the work once all keys are free, in the order of the calls. Keys are taken together, so that
 * two who want the same ones never wait for each other.
 *
 * Errors: those of the work; `AbortError`, or `IoError` of kind `timeout`, before it begins.
 */
export function inTurns<T>(
  keys: ReadonlySet<string>,
  patience: Patience,
  work: () => Promise<T>,
): Promise<T> {
  const [first] = keys;
  const isFree = ![...keys].some((key) => turns.isTaken(key));
  if (keys.size === 1 && isFree) return turns.take(first as string, work);
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const arrivals = [...keys].map(
    (key) =>
      new Promise<void>((arrive) => {
        turns.take(key, () => {
          arrive();
          return ended;
        });
      }),
  );
  return patience.wait(Promise.all(arrivals)).then(work).finally(end);
}
