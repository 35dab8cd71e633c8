/** Random programs for a queue, and what has to be true of each. */
import fc from 'fast-check';

const region = fc.nat(7);
const limits = fc.record({
  link: fc.constantFrom(false, false, true),
  drain: fc.constantFrom(false, false, false, false, true),
  timeoutMs: fc.constantFrom(undefined, undefined, undefined, undefined, 1, 60_000),
});

export type Limits = {
  readonly link: boolean;
  readonly drain: boolean;
  timeoutMs: number | undefined;
};

/**
 * One step of a program. Regions are parts of a file that do not touch, each with its buffers. The
 * other files are those that are closed.
 */
export type Step =
  | {
      readonly do: 'write' | 'writeMany' | 'writeFixed';
      region: number;
      fill: number;
      limits: Limits;
    }
  | { readonly do: 'read' | 'readMany' | 'readFixed'; region: number; limits: Limits }
  | { readonly do: 'position'; fill: number; limits: Limits }
  | { readonly do: 'sync' | 'syncData' | 'nop' | 'fails' | 'open' | 'rename'; limits: Limits }
  | { readonly do: 'writeOther' | 'closeOther'; other: number; limits: Limits }
  | { readonly do: 'cancel'; readonly back: number }
  | { readonly do: 'submit' | 'poll' | 'wait' | 'waitAll' | 'waitSync' | 'turn' | 'tick' };

type Fields = Readonly<Record<string, fc.Arbitrary<unknown>>>;

function step<T extends Step['do']>(names: readonly T[], fields: Fields): fc.Arbitrary<Step> {
  return fc.record({ do: fc.constantFrom(...names), ...fields }) as unknown as fc.Arbitrary<Step>;
}

const fill = fc.integer({ min: 1, max: 255 });
const rest = ['sync', 'syncData', 'nop', 'fails', 'open', 'rename'] as const;

export const programs: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: step(['write', 'writeMany', 'writeFixed'], { region, fill, limits }),
    },
    { weight: 4, arbitrary: step(['read', 'readMany', 'readFixed'], { region, limits }) },
    { weight: 3, arbitrary: step(['position'], { fill, limits }) },
    { weight: 4, arbitrary: step(rest, { limits }) },
    { weight: 2, arbitrary: step(['writeOther', 'closeOther'], { other: fc.nat(1), limits }) },
    { weight: 2, arbitrary: step(['cancel'], { back: fc.nat(5) }) },
    {
      weight: 4,
      arbitrary: step(['submit', 'poll', 'wait', 'waitAll', 'waitSync', 'turn', 'tick'], {}),
    },
  ),
  { minLength: 1, maxLength: 60 },
);
