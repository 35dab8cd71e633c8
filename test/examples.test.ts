/**
 * The examples run, and print what they say they print: the comment behind each `console.log` is a
 * line of the output. What the README shows of TypeScript stands in an example, word for word.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const names = readdirSync(join(root, 'examples')).filter((name) => /^\d\d-.*\.ts$/.test(name));
const texts = names.map((name) => readFileSync(join(root, 'examples', name), 'utf8'));

/** The lines an example says it prints. */
function promisedLines(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const promise = /^\s*console\.log\(.*\); \/\/ (.*)$/.exec(line)?.[1];
    return promise === undefined ? [] : [promise];
  });
}

/** The TypeScript that a document shows. */
function snippetsIn(markdown: string): string[] {
  return [...markdown.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, snippet]) => snippet ?? '');
}

function strays(markdown: string, among: readonly string[]): string[] {
  return snippetsIn(markdown).filter((snippet) => !among.some((text) => text.includes(snippet)));
}

function endOf(name: string, engine: string | undefined) {
  const program = join(root, 'build/examples', name.replace(/\.ts$/, '.js'));
  const forced = engine === undefined ? {} : { HOLDFAST_ENGINE: engine };
  const env = { ...process.env, NO_COLOR: '1', ...forced };
  return spawnSync(process.execPath, [program], { env, encoding: 'utf8', timeout: 30_000 });
}

function runExample(name: string, engine: string | undefined): string[] {
  const ended = endOf(name, engine);
  equal(ended.status, 0, ended.stderr);
  equal(ended.stderr, '');
  return ended.stdout.trimEnd().split('\n');
}

for (const [index, name] of names.entries()) {
  const needsLocks = (texts[index] as string).includes('Needs locks:');
  if (needsLocks) {
    test(`${name} is refused on portable, and says why`, () => {
      const { status, stderr } = endOf(name, 'portable');
      equal(status, 1);
      match(stderr, /kind: 'unsupported'/);
    });
  }
  for (const engine of needsLocks ? [undefined] : [undefined, 'portable']) {
    test(`${name} prints what it says on ${engine ?? 'the default engine'}`, () => {
      const promised = promisedLines(texts[index] as string);
      ok(promised.length > 0, 'an example promises at least one line');
      deepEqual(runExample(name, engine), promised);
    });
  }
}

test('every console.log of an example promises its line', () => {
  for (const [index, text] of texts.entries()) {
    const calls = text.split('\n').filter((line) => line.includes('console.log(')).length;
    equal(promisedLines(text).length, calls, names[index]);
  }
});

test('the README shows only TypeScript that stands in an example', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  ok(snippetsIn(readme).length > 0);
  deepEqual(strays(readme, texts), []);
});

test('the guides show only TypeScript that stands in an example', () => {
  for (const guide of underDocs('docs/guides')) {
    deepEqual(strays(readFileSync(join(root, guide), 'utf8'), texts), [], guide);
  }
});

test('a README snippet that stands in no example is noticed', () => {
  const planted = 'Text.\n\n```ts\nawait replaceFile(nowhere);\n```\n';
  deepEqual(strays(planted, texts), ['await replaceFile(nowhere);\n']);
  deepEqual(strays('```sh\nnpm test\n```\n', texts), []);
});

test('every link of the documents to a file of the project leads somewhere', () => {
  const documents = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', ...underDocs('docs')];
  for (const document of documents) {
    const text = readFileSync(join(root, document), 'utf8');
    for (const [, link] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)/g)) {
      const target = join(root, document, '..', link as string);
      ok(existsSync(target), `${document} links to ${link}`);
    }
  }
});

function underDocs(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return underDocs(path);
    return path.endsWith('.md') ? [path] : [];
  });
}
