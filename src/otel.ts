/**
 * What `holdfast/otel` gives: operations as spans and metrics of OpenTelemetry, through a tracer
 * and a meter of the caller's. The package @opentelemetry/api is the caller's too: nothing of it is
 * imported here, its interfaces are met by shape.
 *
 * Invariants: 1. A span begins where its operation does, in the context of the call, and ends with
 *                it; one that is refused has the status and the type of the error.
 *             2. Without a tracer no span is made, without a meter nothing is counted.
 * Not promised: paths as attributes of metrics: they would be without number.
 * Source: OpenTelemetry API 1.x; its semantic conventions for error.type and disk.io.direction
 */
import type { OperationEvent } from './engine.js';
import { invalidType, trueOrFalse } from './errors.js';
import { type Observation, observeOperations } from './observation.js';

type Attributes = Record<string, string | number | boolean>;

/** As much of a span as is used. */
export interface SpanLike {
  /** As OpenTelemetry has it. */
  setAttributes(attributes: Attributes): unknown;
  /** As OpenTelemetry has it. */
  setStatus(status: { code: number; message?: string }): unknown;
  /** As OpenTelemetry has it. */
  end(): void;
}

/** As much of a `Tracer` as is used. */
export interface TracerLike {
  /** As OpenTelemetry has it. */
  startSpan(name: string, options?: { kind?: number; attributes?: Attributes }): SpanLike;
}

/** As much of a `Meter` as is used. */
export interface MeterLike {
  /** As OpenTelemetry has it. */
  createHistogram(name: string, options?: InstrumentOptions): HistogramLike;
  /** As OpenTelemetry has it. */
  createCounter(name: string, options?: InstrumentOptions): CounterLike;
}

interface InstrumentOptions {
  description?: string;
  unit?: string;
}

interface HistogramLike {
  record(value: number, attributes?: Attributes): void;
}

interface CounterLike {
  add(value: number, attributes?: Attributes): void;
}

export interface BridgeOptions {
  /** Makes a span for each operation. */
  readonly tracer?: TracerLike | undefined;
  /** Counts bytes and times operations. */
  readonly meter?: MeterLike | undefined;
  /** Put the path into spans. Default true. */
  readonly paths?: boolean | undefined;
}

/* SpanKind.INTERNAL and SpanStatusCode.ERROR of @opentelemetry/api 1. */
const KIND_INTERNAL = 0;
const STATUS_ERROR = 2;

function checkMethod(value: object | undefined, argument: string, method: string): void {
  if (value === undefined) return;
  const isThere = typeof (value as Record<string, unknown> | null)?.[method] === 'function';
  if (!isThere) throw invalidType(argument, `an object with ${method}()`, value);
}

/**
 * Tells OpenTelemetry of every operation from now on: spans `holdfast <operation>`, the histogram
 * `holdfast.operation.duration` and the counter `holdfast.io`.
 *
 * Units: seconds; bytes.
 * Order: a span begins before its operation and ends before the call goes on.
 * Lifetime: until `stop`; spans that are open then stay open.
 * Errors: `TypeError` naming the option; `IoError` of kind `unsupported` in a runtime without
 * `node:diagnostics_channel`.
 */
export function bridgeOperations(options: BridgeOptions): Observation {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { tracer, meter } = options;
  const paths = trueOrFalse(options.paths, 'options.paths', true);
  if (tracer === undefined && meter === undefined) {
    throw invalidType('options', 'an object with a tracer or a meter', options);
  }
  checkMethod(tracer, 'options.tracer', 'startSpan');
  checkMethod(meter, 'options.meter', 'createHistogram');
  const spans = tracer === undefined ? undefined : new Spans(tracer, paths);
  const metrics = meter === undefined ? undefined : new Metrics(meter);
  return observeOperations({
    started: spans === undefined ? undefined : (event) => spans.begin(event),
    ended: (event) => {
      spans?.end(event);
      metrics?.count(event);
    },
  });
}

/* What is known at the start of an operation, left out where it is not. */
function attributesOf(event: OperationEvent, paths: boolean): Attributes {
  const { operation, engine, api, path, dest, offset, length } = event;
  const known: Record<string, string | number | undefined> = {
    'holdfast.operation': operation,
    'holdfast.engine': engine,
    'holdfast.api': api,
    'file.path': paths ? path : undefined,
    'holdfast.dest': paths ? dest : undefined,
    'holdfast.offset': offset,
    'holdfast.length': length,
  };
  return given(known);
}

function given(known: Record<string, string | number | undefined>): Attributes {
  const attributes: Attributes = {};
  for (const [name, value] of Object.entries(known)) {
    if (value !== undefined) attributes[name] = value;
  }
  return attributes;
}

/* A span for each operation that began while somebody listened. */
class Spans {
  readonly #tracer: TracerLike;
  readonly #paths: boolean;
  readonly #open: WeakMap<OperationEvent, SpanLike> = new WeakMap();

  constructor(tracer: TracerLike, paths: boolean) {
    this.#tracer = tracer;
    this.#paths = paths;
  }

  begin(event: OperationEvent): void {
    const attributes = attributesOf(event, this.#paths);
    const options = { kind: KIND_INTERNAL, attributes };
    this.#open.set(event, this.#tracer.startSpan(`holdfast ${event.operation}`, options));
  }

  end(event: OperationEvent): void {
    const span = this.#open.get(event);
    if (span === undefined) return;
    this.#open.delete(event);
    const { bytes, error, isSkipped } = event;
    span.setAttributes({
      ...given({ 'holdfast.bytes': bytes, 'error.type': error?.code }),
      ...(isSkipped === true ? { 'holdfast.skipped': true } : {}),
    });
    if (error !== undefined) {
      /* The message of an error names the path. */
      const message = this.#paths ? { message: error.message } : {};
      span.setStatus({ code: STATUS_ERROR, ...message });
    }
    span.end();
  }
}

/* Few attributes of few values each: what is aggregated has to stay small. */
class Metrics {
  readonly #duration: HistogramLike;
  readonly #io: CounterLike;

  constructor(meter: MeterLike) {
    this.#duration = meter.createHistogram('holdfast.operation.duration', {
      description: 'How long the system took for an operation',
      unit: 's',
    });
    this.#io = meter.createCounter('holdfast.io', {
      description: 'Bytes that reads and writes moved',
      unit: 'By',
    });
  }

  count({ operation, engine, durationMs, bytes, error, isSkipped }: OperationEvent): void {
    if (isSkipped === true) return;
    const attributes = given({
      'holdfast.operation': operation,
      'holdfast.engine': engine,
      'error.type': error?.code,
    });
    this.#duration.record((durationMs ?? 0) / 1000, attributes);
    if (bytes === undefined) return;
    this.#io.add(bytes, { 'disk.io.direction': operation === 'read' ? 'read' : 'write' });
  }
}
