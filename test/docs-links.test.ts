/** The check of links sees one that leads nowhere; `npm run docs` follows those of the site. */
import { deepEqual } from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { projectRoot } from './support/scratch.js';

const script = pathToFileURL(join(projectRoot, 'scripts/docs.mjs')).href;

test('links to pages and places that are not there are noticed', async (t) => {
  const { brokenLinks } = (await import(script)) as { brokenLinks(site: string): string[] };
  const site = `build/test-site-${process.pid}`;
  const folder = join(projectRoot, site);
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'deep'), { recursive: true });
  writeFileSync(
    join(folder, 'deep/page.html'),
    '<h1 id="here">x</h1><a href="../index.html">x</a>',
  );
  const index = ['deep/page.html', 'deep/page.html#here', '#own', 'https://example.org/x']
    .map((link) => `<a href="${link}">x</a>`)
    .join('');
  writeFileSync(join(folder, 'index.html'), `<p id="own">${index}</p>`);
  deepEqual(brokenLinks(site), []);
  writeFileSync(
    join(folder, 'index.html'),
    '<a href="deep/page.html#there">x</a><a href="absent.html">x</a><img src="a.png">',
  );
  deepEqual(brokenLinks(site), [
    'index.html: deep/page.html#there',
    'index.html: absent.html',
    'index.html: a.png',
  ]);
});
