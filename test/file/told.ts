/** What a refusal told: the fields that tests compare, and nothing else. */
import { fail } from 'node:assert/strict';
import { IoError } from 'holdfast';

/** The `IoError` of work that has to be refused. */
export async function refusalOf(work: () => Promise<unknown>): Promise<IoError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof IoError) return error;
    throw error;
  }
  fail('It was not refused');
}

/** Code and kind of the refusal. */
export async function refusedAs(work: () => Promise<unknown>): Promise<string> {
  const { code, kind } = await refusalOf(work);
  return `${code} ${kind}`;
}
