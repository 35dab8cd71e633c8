/** Hears what is asked of the system: each operation, how long it takes, spans of OpenTelemetry. */
import './scratch.js';
import { observeOperations, openFile, recordLatency, replaceFile } from 'holdfast';
import { bridgeOperations } from 'holdfast/otel';

// Every operation is told: here, in which order a replace becomes durable.
const heard: string[] = [];
const observation = observeOperations({
  ended: ({ operation, error }) => {
    if (error === undefined) heard.push(operation);
  },
});
await replaceFile('state.json', '{"visits":1}');
observation.stop();
const order = heard.filter((operation) => /write|fsync|rename/.test(operation));
console.log(order.join(', ')); // write, fsync, rename, fsync

// A histogram of nanoseconds for each kind of operation.
const recorder = recordLatency();
await using file = await openFile('state.json');
for (let round = 0; round < 100; round++) await file.readAt(new Uint8Array(4), 0);
recorder.stop();
const reads = recorder.histograms.get('read');
console.log(reads?.count, (reads?.percentile(99) ?? 0) > 0); // 100 true

// A tracer and a meter of @opentelemetry/api go here; this one counts spans by name.
const spans = new Map<string, number>();
const span = { setAttributes: () => span, setStatus: () => span, end: () => undefined };
const tracer = {
  startSpan(name: string) {
    spans.set(name, (spans.get(name) ?? 0) + 1);
    return span;
  },
};
const bridge = bridgeOperations({ tracer });
file.readAtSync(new Uint8Array(4), 0);
bridge.stop();
console.log(spans); // Map(1) { 'holdfast read' => 1 }
