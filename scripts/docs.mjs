// Builds the site into build/site: the guides, and the API reference from the docstrings. Works
// without a network, and so does what it builds. Then every link of it is followed.
//
//   npm run docs

import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Application, Converter } from 'typedoc';
import { fail, filesUnder, inRoot, isMain, say } from './tools.mjs';

const SITE = 'build/site';
const FIELDS = /^(Shapes|Units|Order|Durable|Lifetime|Errors|Source):[ \n]/gm;

/** Folders that the documents link to, not pages: what is in them is listed. */
const FOLDERS = { examples: 'examples', results: 'bench/results', decisions: 'docs/decisions' };

/** Each field of a docstring (STYLE.md) begins a paragraph, with its label in bold. */
function fieldsAsParagraphs(application) {
  application.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const reflection of Object.values(project.reflections)) {
      if (reflection.parent === project) reflection.name = subpathOf(reflection.name);
      for (const part of reflection.comment?.summary ?? []) {
        if (part.kind === 'text') part.text = part.text.replace(FIELDS, '\n**$1.** ');
      }
    }
  });
}

const subpathOf = (name) => (name === 'src' ? 'holdfast' : name.replace(/^src\//, 'holdfast/'));

/** The source of each subpath of package.json, and the front door. */
function entryPoints() {
  const { exports } = JSON.parse(readFileSync(inRoot('package.json'), 'utf8'));
  return Object.values(exports)
    .flatMap((entry) => (entry.import === undefined ? [] : [entry.import.default]))
    .map((path) => path.replace('./dist/', 'src/').replace(/\.js$/, '.ts'))
    .filter((path) => existsSync(inRoot(path)));
}

export async function buildSite(target = SITE) {
  const application = await Application.bootstrap({
    name: 'holdfast',
    entryPoints: entryPoints().map((path) => inRoot(path)),
    tsconfig: inRoot('tsconfig.src.json'),
    readme: inRoot('README.md'),
    projectDocuments: [
      inRoot('docs/*.md'),
      inRoot('docs/guides/*.md'),
      inRoot('docs/decisions/*.md'),
    ],
    basePath: inRoot(),
    disableGit: true,
    sourceLinkTemplate: 'none',
    disableSources: true,
    includeHierarchySummary: false,
    githubPages: false,
    hideGenerator: true,
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    validation: { notExported: false, invalidLink: true, rewrittenLink: false },
    logLevel: 'Warn',
  });
  fieldsAsParagraphs(application);
  const project = await application.convert();
  if (project === undefined) fail('cannot read the sources for the reference: see above');
  rmSync(inRoot(target), { recursive: true, force: true });
  await application.generateDocs(project, inRoot(target));
  for (const [name, folder] of Object.entries(FOLDERS)) listFolder(target, name, folder);
  return application.logger.warningCount;
}

/** A page for a folder; links to the folder lead to it. */
function listFolder(site, name, folder) {
  const target = inRoot(site, 'media', name);
  cpSync(inRoot(folder), target, { recursive: true });
  const items = filesUnder(folder).map((path) => {
    const file = path.slice(folder.length + 1);
    const page = `documents/${path.replace(/\.md$/, '').replaceAll('/', '_')}.html`;
    const href = existsSync(inRoot(site, page)) ? `../../${page}` : file;
    return `<li><a href="${href}">${file}</a></li>`;
  });
  const title = `<!doctype html><meta charset="utf-8"><title>${folder}</title><h1>${folder}</h1>`;
  writeFileSync(join(target, 'index.html'), `${title}<ul>${items.join('\n')}</ul>\n`);
  for (const path of filesUnder(site).filter((one) => one.endsWith('.html'))) {
    const text = readFileSync(inRoot(path), 'utf8');
    const linked = text.replaceAll(`media/${name}"`, `media/${name}/index.html"`);
    if (linked !== text) writeFileSync(inRoot(path), linked);
  }
}

/** Links of the site that lead nowhere, to a page or to a place in one. */
export function brokenLinks(site) {
  const pages = new Map(
    filesUnder(site)
      .filter((path) => path.endsWith('.html'))
      .map((path) => [path, readFileSync(inRoot(path), 'utf8')]),
  );
  const broken = [];
  for (const [path, text] of pages) {
    for (const [, link] of text.matchAll(/\s(?:href|src)="([^"]*)"/g)) {
      if (/^(https?|data|mailto):/.test(link)) continue;
      const [name, place] = link.replaceAll('&amp;', '&').split('#');
      const target = name === '' ? path : join(dirname(path), decodeURIComponent(name));
      const page = pages.get(target);
      if (page === undefined && !existsSync(inRoot(target))) broken.push(`${path}: ${link}`);
      else if (place && page !== undefined && !page.includes(`id="${decodeURIComponent(place)}"`)) {
        broken.push(`${path}: ${link}`);
      }
    }
  }
  return broken.map((line) => line.slice(site.length + 1));
}

if (isMain(import.meta.url)) {
  const warnings = await buildSite();
  const broken = brokenLinks(SITE);
  for (const line of broken) say(`a link that leads nowhere: ${line}`);
  say(`${SITE}/index.html: ${warnings} warnings, ${broken.length} broken links`);
  process.exitCode = warnings + broken.length === 0 ? 0 : 1;
}
