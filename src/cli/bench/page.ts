/** The report as one page that needs nothing else: scripts, styles and figures in it. */
import { readFile, replaceFile } from '../../index.js';
import type { BenchResult, Comparison } from './result.js';

const MARK = '"RESULT"';

/**
 * One result, or two beside each other.
 *
 * Errors: `IoError` where the page cannot be written.
 */
export async function storePage(path: string, told: BenchResult | Comparison): Promise<void> {
  const page = Buffer.from(await readFile(new URL('./report.html', import.meta.url))).toString();
  /* As JSON, but for what would end the script it stands in. */
  const json = JSON.stringify(told).replaceAll('<', '\\u003c');
  await replaceFile(
    path,
    page.replace(MARK, () => json),
  );
}
