/** On what volumes descriptors are, as far as the ring has to know before it reads or writes. */
import { Code, type Operation, opensDescriptor, ringRefusal } from '../platform.js';

const UNKNOWN = 0;
const TAKEN = 1;
const REFUSED = 2;

/** What is known of a descriptor holds until its number is given out again. */
class Volumes {
  #verdicts: Uint8Array = new Uint8Array(1024);
  /* Those that are being asked, by descriptor. */
  readonly #asked: Map<number, Operation> = new Map();

  /** Whether the ring may read and write there. */
  takes(fd: number): boolean {
    return this.#verdicts[fd] === TAKEN;
  }

  isKnown(fd: number): boolean {
    return (this.#verdicts[fd] ?? UNKNOWN) !== UNKNOWN || this.#asked.has(fd);
  }

  /** Hears what statfs(2) said. Answers why the ring may not, or `undefined` where it may. */
  learn(fd: number, volumeType: number): string | undefined {
    const refusal = ringRefusal(volumeType);
    if (fd >= this.#verdicts.length) {
      const grown = new Uint8Array(Math.max(fd + 1, 2 * this.#verdicts.length));
      grown.set(this.#verdicts);
      this.#verdicts = grown;
    }
    this.#asked.delete(fd);
    this.#verdicts[fd] = refusal === undefined ? TAKEN : REFUSED;
    return refusal;
  }

  forget(fd: number): void {
    this.#asked.delete(fd);
    if (fd < this.#verdicts.length) this.#verdicts[fd] = UNKNOWN;
  }

  begin(fd: number, question: Operation): void {
    this.#asked.set(fd, question);
  }

  /** The answer to a question, unless the descriptor has become another meanwhile. */
  end(fd: number, question: Operation): void {
    if (this.#asked.get(fd) === question) this.learn(fd, question.result);
  }

  /** Looks at what an operation that has ended did to the table of descriptors. */
  note({ code, fd, result }: Operation): void {
    if (code === Code.Close || code === Code.GetStatusFlags) {
      /* The flags are asked for of a descriptor that somebody else opened, when it comes to us. */
      if (fd >= 0) this.forget(fd);
    } else if (result >= 0 && (opensDescriptor(code) || code === Code.Duplicate)) {
      this.forget(result);
    }
  }
}

/** Of this environment: descriptors are common to its engines. */
export const volumes: Volumes = new Volumes();
