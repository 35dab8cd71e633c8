/**
 * What the library asks of the system, for those who want to see it: the names of the channels on
 * which it tells, and histograms of how long each kind of operation takes. Hides how channels are
 * subscribed to.
 *
 * Invariants: 1. Each operation is told once at its start and once at its end, whatever becomes of
 *                it, to those who had subscribed before it began.
 *             2. Nobody who listens changes what the library does, nor in which order.
 *             3. Without listeners nothing is measured, allocated or told.
 * Not promised: that one call is one operation, nor which operations a call is made of.
 * Source: Node's diagnostics_channel, TracingChannel; nodejs/node issue 65330 for the names
 */
import { OPERATION_CHANNEL, type OperationEvent } from './engine.js';
import { IoError } from './errors.js';
import { type LatencyHistogram, listen, newHistogram } from './platform.js';

export type { LatencyHistogram };
export { OPERATION_CHANNEL, type OperationEvent };

/** What is called for each operation. */
export interface OperationListener {
  /** When it is handed over. */
  readonly started?: ((event: OperationEvent) => void) | undefined;
  /** When it has ended, well or not. */
  readonly ended?: ((event: OperationEvent) => void) | undefined;
}

/** Ends what was begun; again does nothing. */
export interface Observation {
  /** Hears nothing more. Errors: none. */
  stop(): void;
  /** As `stop`. */
  [Symbol.dispose](): void;
}

/**
 * Calls back for each operation from now on, by whichever of the channels tell of its end.
 *
 * Order: `started` before the operation, `ended` after it and before the call goes on.
 * Lifetime: until `stop`.
 * Errors: `IoError` of kind `unsupported` in a runtime without `node:diagnostics_channel`. What a
 * listener throws does not reach the call: Node tells it as an uncaught exception.
 */
export function observeOperations({ started, ended }: OperationListener): Observation {
  const endedSync = (event: OperationEvent): void => {
    if (event.api === 'sync') ended?.(event);
  };
  const stop = listen<OperationEvent>(OPERATION_CHANNEL, {
    start: started,
    end: ended === undefined ? undefined : endedSync,
    asyncEnd: ended,
  });
  if (stop !== undefined) return { stop, [Symbol.dispose]: stop };
  const words = 'this runtime has no node:diagnostics_channel';
  throw new IoError({ action: 'observe operations', code: 'ENOSYS', words });
}

/** Histograms that fill while it is not stopped. */
export interface LatencyRecorder extends Observation {
  /** By the name of the operation: nanoseconds, as `perf_hooks` has them. */
  readonly histograms: ReadonlyMap<string, LatencyHistogram>;
}

/**
 * Records how long each kind of operation takes, from now on.
 *
 * Units: nanoseconds, from the handing over of an operation until it is told.
 * Lifetime: until `stop`; the histograms stay.
 * Errors: as `observeOperations`.
 */
export function recordLatency(): LatencyRecorder {
  const histograms = new Map<string, LatencyHistogram>();
  const observation = observeOperations({
    ended: ({ operation, durationMs, isSkipped }) => {
      if (isSkipped === true) return;
      let histogram = histograms.get(operation);
      if (histogram === undefined) {
        histogram = newHistogram();
        histograms.set(operation, histogram);
      }
      histogram.record(Math.max(1, Math.round((durationMs ?? 0) * 1e6)));
    },
  });
  return { ...observation, histograms };
}
