/** The bridge to OpenTelemetry, with the interfaces and the context of its real API. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type Attributes,
  type Context,
  type ContextManager,
  context,
  createNoopMeter,
  type Meter,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { openFile, replaceFile } from 'holdfast';
import { bridgeOperations } from 'holdfast/otel';
import { onBothEngines } from './file/doors.js';
import { scratch } from './support/scratch.js';

/** What was told of one span. */
interface Noted {
  readonly name: string;
  readonly options: SpanOptions;
  readonly parent: string | undefined;
  readonly attributes: Attributes;
  status: { code: SpanStatusCode; message?: string } | undefined;
  ends: number;
}

/* Spans of the real API's: what is not asked for is an error. */
class NotingTracer implements Tracer {
  readonly spans: Noted[] = [];

  startSpan(name: string, options: SpanOptions = {}, given: Context = context.active()): Span {
    const parent = trace.getSpanContext(given)?.spanId;
    const attributes = { ...options.attributes };
    const noted: Noted = { name, options, parent, attributes, status: undefined, ends: 0 };
    this.spans.push(noted);
    const span: Partial<Span> = {
      setAttributes: (more) => {
        Object.assign(attributes, more);
        return span as Span;
      },
      setStatus: (status) => {
        noted.status = status;
        return span as Span;
      },
      end: () => void noted.ends++,
      spanContext: (): SpanContext => ({ traceId: '1', spanId: '2', traceFlags: 1 }),
    };
    return span as Span;
  }

  startActiveSpan(): never {
    throw new Error('not asked for');
  }
}

/* As that of @opentelemetry/context-async-hooks. */
class AsyncContext implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();
  active = (): Context => this.#storage.getStore() ?? ROOT_CONTEXT;
  with: ContextManager['with'] = (given, work, self, ...values) =>
    this.#storage.run(given, () => work.apply(self as never, values));
  bind: ContextManager['bind'] = (_given, target) => target;
  enable = (): this => this;
  disable = (): this => this;
}

interface Measurement {
  readonly name: string;
  readonly value: number;
  readonly attributes: Attributes | undefined;
}

/* The real no-op meter, with instruments that take notes. */
function notingMeter(): { meter: Meter; made: unknown[]; measured: Measurement[] } {
  const made: unknown[] = [];
  const measured: Measurement[] = [];
  const meter = createNoopMeter();
  const note = (name: string) => (value: number, attributes?: Attributes) =>
    void measured.push({ name, value, attributes });
  meter.createHistogram = (name, options) => {
    made.push([name, options?.unit]);
    return { record: note(name) };
  };
  meter.createCounter = (name, options) => {
    made.push([name, options?.unit]);
    return { add: note(name) };
  };
  return { meter, made, measured };
}

onBothEngines('an operation is a span, and a measurement', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'some bytes');
  const file = await doors.open(path, { access: 'read-write' });
  const tracer = new NotingTracer();
  const { meter, made, measured } = notingMeter();
  const bridge = bridgeOperations({ tracer, meter });
  t.after(() => bridge.stop());
  deepEqual(made, [
    ['holdfast.operation.duration', 's'],
    ['holdfast.io', 'By'],
  ]);
  await file.readAt(new Uint8Array(4), 2);
  file.writeAtSync(Buffer.from('abc'), 1);
  bridge.stop();
  await file.readAt(new Uint8Array(4), 2);
  const engine = doors.engine.name;
  const known = { 'holdfast.engine': engine, 'file.path': path };
  deepEqual(
    tracer.spans.map(({ name, options, attributes, status, ends }) => ({
      name,
      kind: options.kind,
      attributes,
      status,
      ends,
    })),
    [
      { api: 'async', operation: 'read', offset: 2, length: 4 },
      { api: 'sync', operation: 'write', offset: 1, length: 3 },
    ].map(({ api, operation, offset, length }) => ({
      name: `holdfast ${operation}`,
      kind: SpanKind.INTERNAL,
      attributes: {
        'holdfast.operation': operation,
        'holdfast.api': api,
        'holdfast.offset': offset,
        'holdfast.length': length,
        'holdfast.bytes': length,
        ...known,
      },
      status: undefined,
      ends: 1,
    })),
  );
  const bytes = measured.filter(({ name }) => name === 'holdfast.io');
  deepEqual(
    bytes.map(({ value, attributes }) => [value, attributes]),
    [
      [4, { 'disk.io.direction': 'read' }],
      [3, { 'disk.io.direction': 'write' }],
    ],
  );
  const times = measured.filter(({ name }) => name === 'holdfast.operation.duration');
  deepEqual(
    times.map(({ attributes }) => attributes),
    [
      { 'holdfast.operation': 'read', 'holdfast.engine': engine },
      { 'holdfast.operation': 'write', 'holdfast.engine': engine },
    ],
  );
  ok(times.every(({ value }) => value > 0 && value < 60));
});

onBothEngines(
  'a refusal is the status of its span, what was skipped is no measurement',
  async (t, doors) => {
    const tracer = new NotingTracer();
    const { meter, measured } = notingMeter();
    const bridge = bridgeOperations({ tracer, meter });
    t.after(() => bridge.stop());
    const path = join(scratch(t), 'absent');
    await openFile(path, { engine: doors.engine }).catch(() => undefined);
    const [open, ...skipped] = tracer.spans as [Noted, ...Noted[]];
    equal(open.name, 'holdfast open');
    equal(open.attributes['error.type'], 'ENOENT');
    equal(open.status?.code, SpanStatusCode.ERROR);
    ok(open.status?.message?.includes(path));
    ok(skipped.length > 0);
    for (const { attributes, status, ends } of skipped) {
      deepEqual([attributes['holdfast.skipped'], status, ends], [true, undefined, 1]);
    }
    deepEqual(
      measured.map(({ attributes }) => attributes?.['error.type']),
      ['ENOENT'],
    );
  },
);

onBothEngines('paths: false keeps them out of spans', async (t, doors) => {
  const tracer = new NotingTracer();
  const bridge = bridgeOperations({ tracer, paths: false });
  t.after(() => bridge.stop());
  const path = join(scratch(t), 'absent');
  await openFile(path, { engine: doors.engine }).catch(() => undefined);
  equal(JSON.stringify(tracer.spans).includes('absent'), false);
  equal(tracer.spans[0]?.status?.code, SpanStatusCode.ERROR);
});

onBothEngines(
  'spans hang under the span of their caller, from the first to the last',
  async (t, doors) => {
    context.setGlobalContextManager(new AsyncContext());
    const tracer = new NotingTracer();
    const bridge = bridgeOperations({ tracer });
    t.after(() => {
      bridge.stop();
      context.disable();
    });
    const span = { traceId: '0'.repeat(31).concat('1'), spanId: 'a'.repeat(16), traceFlags: 1 };
    const inside = trace.setSpanContext(ROOT_CONTEXT, span);
    const path = join(scratch(t), 'state');
    await context.with(inside, () => replaceFile(path, 'x', { engine: doors.engine }));
    ok(tracer.spans.length > 8);
    for (const { name, parent, ends } of tracer.spans) {
      deepEqual([parent, ends], [span.spanId, 1], name);
    }
  },
);

test('bridgeOperations() checks what it is given, by name', () => {
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /"options" must be an object/],
    [{}, /"options" must be an object with a tracer or a meter/],
    [{ tracer: {} }, /"options.tracer".*startSpan/],
    [{ meter: 1 }, /"options.meter".*createHistogram/],
    [{ tracer: new NotingTracer(), paths: 1 }, /"options.paths"/],
  ];
  for (const [options, says] of bad) {
    throws(() => bridgeOperations(options as { tracer: NotingTracer }), says);
  }
});
