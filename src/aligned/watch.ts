/** What a pool tells in its debug mode: leases that were dropped, buffers written after release. */
import { warn } from '../platform.js';

/* Nothing that is likely to be written by accident. */
const UNHELD = 0xdb;

interface Loan {
  readonly bufferBytes: number;
  /** Where it was leased. */
  readonly place: string;
}

/* Outlives every pool, so that it tells of a lease that went together with its pool. */
const dropped: FinalizationRegistry<Loan> = new FinalizationRegistry(tellDropped);

/** Watches the leases of one pool. It costs a stack trace a lease and a fill a release. */
export class LeaseWatch {
  /** Takes note of a lease and of where it was asked for. */
  leased(lease: object, bufferBytes: number): void {
    const place = (new Error('leased here').stack ?? '').split('\n').slice(3).join('\n');
    dropped.register(lease, { bufferBytes, place }, lease);
  }

  /** Takes note of a release, and fills the buffer with what nobody has written. */
  released(lease: object, bytes: Uint8Array): void {
    dropped.unregister(lease);
    this.freed(bytes);
  }

  /** Fills a buffer that nobody holds. */
  freed(bytes: Uint8Array): void {
    bytes.fill(UNHELD);
  }

  /** Tells when somebody wrote to a buffer that nobody held. */
  checkUntouched(bytes: Uint8Array): void {
    const place = bytes.findIndex((byte) => byte !== UNHELD);
    if (place < 0) return;
    const buffer = `A buffer of ${bytes.length} bytes`;
    const what = `${buffer} was written after its release, at byte ${place}`;
    warn(what, 'HOLDFAST_LEASE_WRITTEN');
  }
}

function tellDropped({ bufferBytes, place }: Loan): void {
  const what = `A lease of ${bufferBytes} bytes was dropped without release; leased:\n${place}`;
  warn(what, 'HOLDFAST_LEASE_DROPPED');
}
