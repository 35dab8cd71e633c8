/**
 * The reports of `holdfast bench` in a real browser, of one result and of two: drawn, hovered,
 * zoomed, in light and dark.
 */
import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import { projectRoot, scratch } from './support/scratch.js';

const program = join(projectRoot, 'dist', 'cli.js');
const where = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap((folder) => ['chromium', 'google-chrome'].map((name) => join(folder, name)))
  .find((path) => existsSync(path));
const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
const charts = ['#depth-rate', '#depth-p99', '#latency', '#time'];

describe('the report of bench', {
  skip: where === undefined ? 'NOT TESTED: no Chromium' : false,
}, () => {
  let browser: Browser;
  let path: string;
  let comparison: string;
  const done: (() => void)[] = [];

  before(async () => {
    const cwd = scratch({ after: (run) => done.push(run as () => void) });
    path = join(cwd, 'report.html');
    const jobs = ['--jobs', 'random-read,replace,read', '--quick', '--size', '1M'];
    bench(cwd, [cwd, ...jobs, '--html', path, '--output', 'before.json']);
    comparison = join(cwd, 'comparison.html');
    makeAfter(cwd);
    bench(cwd, ['--compare', 'before.json', 'after.json', '--html', comparison]);
    browser = await chromium.launch({ executablePath: where as string, args: ['--no-sandbox'] });
  });

  after(async () => {
    await browser?.close();
    for (const run of done) run();
  });

  /** The page, and everything it complained of or asked the network for. */
  async function opened(
    colorScheme: 'light' | 'dark',
    of: string = path,
  ): Promise<[Page, string[]]> {
    const page = await browser.newPage({ viewport: { width: 1100, height: 900 }, colorScheme });
    const complaints: string[] = [];
    page.on('console', (line) => complaints.push(`${line.type()}: ${line.text()}`));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) complaints.push(request.url());
    });
    await page.goto(pathToFileURL(of).href);
    return [page, complaints];
  }

  for (const scheme of ['light', 'dark'] as const) {
    test(`is drawn in ${scheme}, without an error or the network`, async () => {
      const [page, complaints] = await opened(scheme);
      for (const chart of charts) ok((await coloursOf(page.locator(chart))) > 3, chart);
      equal(await page.locator('#jobs tr').count(), 1 + 8);
      equal(await page.locator('#cost .bar').count(), 3);
      match(await page.locator('#machine').innerText(), /Write cache/);
      deepEqual(complaints, []);
      const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      equal(ground, scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 24, 27)');
      await page.close();
    });
  }

  for (const scheme of ['light', 'dark'] as const) {
    test(`of two results is drawn in ${scheme}, with what became of each job`, async () => {
      const [page, complaints] = await opened(scheme, comparison);
      for (const chart of charts) ok((await coloursOf(page.locator(chart))) > 3, chart);
      const words = await page.locator('#changes .figures').allInnerTexts();
      const verdictOf = new Map(
        (await page.locator('#changes .bar > span:first-child').allInnerTexts()).map(
          (name, index) => [name, words[index]],
        ),
      );
      equal(verdictOf.size, 8);
      equal(verdictOf.get('read'), '+100.0 % · faster');
      equal(verdictOf.get('replace'), '−50.0 % · slower');
      equal(verdictOf.get('random-read-qd4'), '+0.0 % · rounds overlap');
      equal(await page.locator('#changes .range').count(), 2 * 8);
      equal(await page.locator('#jobs tr').count(), 1 + 8);
      equal(await page.locator('#jobs td.slower').count(), 1);
      match(await page.locator('#notes').innerText(), /In one of them alone: mine/);
      equal(await page.locator('#machine .machine').count(), 2);
      deepEqual(await page.locator('#machine .differs').allInnerTexts(), [
        `holdfast: ${version}`,
        'holdfast: a later one',
      ]);
      match((await page.locator('#latency .u-legend').innerText()) ?? '', /replace, before/);
      deepEqual(complaints, []);
      await page.close();
    });
  }

  test('of two results draws what is chosen, before and after', async () => {
    const [page, complaints] = await opened('light', comparison);
    await page.locator('#job').selectOption('read, after');
    equal(await page.locator('#time canvas').count(), 1);
    const [before, after] = [
      await boxOf(page.locator('#changes .range.before.faster')),
      await boxOf(page.locator('#changes .range.after.faster')),
    ];
    ok(after.x > before.x + before.width, 'what is twice as fast lies further to the right');
    deepEqual(complaints, []);
    await page.close();
  });

  test('hovering tells the figures of the place', async () => {
    const [page] = await opened('light');
    const legend = page.locator('#latency .u-legend .u-value');
    const before = await legend.allInnerTexts();
    await page.locator('#latency .u-over').scrollIntoViewIfNeeded();
    const box = await boxOf(page.locator('#latency .u-over'));
    await page.mouse.move(box.x + box.width / 3, box.y + box.height / 2);
    await page.waitForTimeout(100);
    const after = await legend.allInnerTexts();
    notEqual(after.join(), before.join());
    match(after.join(' '), /% .*\d (µs|ms|s)/);
    await page.close();
  });

  test('dragging zooms, a double-click goes back', async () => {
    const [page] = await opened('light');
    const span = (): Promise<number> =>
      page.evaluate(`(() => {
        const { plot } = holdfastPlots.at(-1);
        return plot.scales.x.max - plot.scales.x.min;
      })()`);
    const chart = page.locator('#time .u-over');
    await chart.scrollIntoViewIfNeeded();
    const whole = await span();
    const { x, y, width, height } = await boxOf(chart);
    await page.mouse.move(x + width * 0.25, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(x + width * 0.75, y + height / 2, { steps: 5 });
    await page.mouse.up();
    const zoomed = await span();
    ok(zoomed < whole * 0.7, `${zoomed} of ${whole}`);
    await page.mouse.dblclick(x + width / 2, y + height / 2);
    equal(await span(), whole);
    await page.close();
  });

  test('another job and other lines can be chosen', async () => {
    const [page, complaints] = await opened('light');
    await page.locator('#job').selectOption('read');
    equal(await page.locator('#time canvas').count(), 1);
    const lines = page.locator('#latency .u-legend .u-series');
    const before = await lines.count();
    await page.locator('#latency-choice input:not(:checked)').first().check();
    equal(await lines.count(), before + 1);
    deepEqual(complaints, []);
    await page.close();
  });

  test('what a path holds cannot end the script it stands in', () => {
    const text = readFileSync(path, 'utf8');
    const json = /id="result">([\s\S]*?)<\/script>/.exec(text)?.[1] ?? '';
    equal(json.includes('<'), false);
    equal(JSON.parse(json).format, 'holdfast-bench');
  });
});

function bench(cwd: string, words: readonly string[]): void {
  const line = [program, 'bench', ...words];
  const { status, stderr } = spawnSync(process.execPath, line, { cwd, encoding: 'utf8' });
  equal(status, 0, stderr);
}

interface Stored {
  takenAt: string;
  holdfast: string;
  readonly jobs: { name: string; perSecond: number; rounds: number[] }[];
}

/** A result beside the measured one in which `read` is twice as fast, `replace` half as fast. */
function makeAfter(cwd: string): void {
  const before = JSON.parse(readFileSync(join(cwd, 'before.json'), 'utf8')) as Stored;
  for (const job of before.jobs) job.rounds = [0.9, 1, 1.1].map((part) => part * job.perSecond);
  const after = structuredClone(before);
  for (const job of after.jobs) {
    const factor = job.name === 'read' ? 2 : job.name === 'replace' ? 0.5 : 1;
    job.perSecond *= factor;
    job.rounds = job.rounds.map((rate) => rate * factor);
  }
  [after.takenAt, after.holdfast] = ['later', 'a later one'];
  after.jobs.push({ ...structuredClone(after.jobs[0] as Stored['jobs'][0]), name: 'mine' });
  writeFileSync(join(cwd, 'before.json'), JSON.stringify(before));
  writeFileSync(join(cwd, 'after.json'), JSON.stringify(after));
}

async function boxOf(place: Locator) {
  const box = await place.boundingBox();
  ok(box !== null);
  return box;
}

/** How many colours a chart has: an empty one has the ground alone. */
function coloursOf(chart: Locator): Promise<number> {
  return chart.locator('canvas').evaluate((canvas) => {
    const { width, height, getContext } = canvas as unknown as {
      width: number;
      height: number;
      getContext(kind: '2d'): {
        getImageData(x: number, y: number, w: number, h: number): { data: Uint8ClampedArray };
      };
    };
    const { data } = getContext.call(canvas, '2d').getImageData(0, 0, width, height);
    const seen = new Set<string>();
    for (let at = 0; at < data.length; at += 4) {
      if ((data[at + 3] as number) === 255) seen.add(data.subarray(at, at + 3).join());
    }
    return seen.size;
  });
}
