/** Listening to channels, and histograms: fetched when they are asked for. */
import type { RecordableHistogram } from 'node:perf_hooks';

export type LatencyHistogram = RecordableHistogram;

type Listeners<Event> = Partial<
  Record<'start' | 'end' | 'asyncEnd', ((event: Event) => void) | undefined>
>;

/**
 * Subscribes to tracing channels by name; answers what calls that off, once. `undefined` in a
 * runtime that has none.
 */
export function listen<Event>(name: string, listeners: Listeners<Event>): (() => void) | undefined {
  const diagnostics = process.getBuiltinModule?.('node:diagnostics_channel');
  if (diagnostics === undefined) return undefined;
  const subscribed = Object.entries(listeners).flatMap(([kind, tell]) => {
    if (tell === undefined) return [];
    const channel = `tracing:${name}:${kind}`;
    const hear = (event: unknown): void => tell(event as Event);
    diagnostics.subscribe(channel, hear);
    return [() => diagnostics.unsubscribe(channel, hear)];
  });
  return () => {
    for (const leave of subscribed.splice(0)) leave();
  };
}

/** A histogram of nanoseconds. */
export function newHistogram(): LatencyHistogram {
  return process.getBuiltinModule('node:perf_hooks').createHistogram();
}
