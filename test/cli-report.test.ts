/** The report of `holdfast bench` in a real browser: drawn, hovered, zoomed, in light and dark. */
import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
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
const charts = ['#depth-rate', '#depth-p99', '#latency', '#time'];

describe('the report of bench', {
  skip: where === undefined ? 'NOT TESTED: no Chromium' : false,
}, () => {
  let browser: Browser;
  let path: string;
  const done: (() => void)[] = [];

  before(async () => {
    const cwd = scratch({ after: (run) => done.push(run as () => void) });
    path = join(cwd, 'report.html');
    const jobs = ['--jobs', 'random-read,replace,read', '--quick', '--size', '1M'];
    const words = [program, 'bench', cwd, ...jobs, '--html', path];
    const { status, stderr } = spawnSync(process.execPath, words, { cwd, encoding: 'utf8' });
    equal(status, 0, stderr);
    browser = await chromium.launch({ executablePath: where as string, args: ['--no-sandbox'] });
  });

  after(async () => {
    await browser?.close();
    for (const run of done) run();
  });

  /** The page, and everything it complained of or asked the network for. */
  async function opened(colorScheme: 'light' | 'dark'): Promise<[Page, string[]]> {
    const page = await browser.newPage({ viewport: { width: 1100, height: 900 }, colorScheme });
    const complaints: string[] = [];
    page.on('console', (line) => complaints.push(`${line.type()}: ${line.text()}`));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) complaints.push(request.url());
    });
    await page.goto(pathToFileURL(path).href);
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
