/** Waiting for the other end of a pipe: asked again and again, ever less often. */
import { Pause } from '../engine.js';

const POLL_MS_MIN = 1;
const POLL_MS_MAX = 25;

/** The pauses between two questions. */
export class Polling {
  #pollMs = POLL_MS_MIN;

  pause(): Pause {
    const pause = new Pause(this.#pollMs);
    this.#pollMs = Math.min(2 * this.#pollMs, POLL_MS_MAX);
    return pause;
  }
}
