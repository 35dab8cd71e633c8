/**
 * The command as a shell runs it: answers on standard output, refusals on standard error, exit
 * codes, and nothing left behind whoever interrupts it.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { hasTool, limitsRefusal } from './support/child.js';
import { projectRoot, scratch } from './support/scratch.js';

const program = join(projectRoot, 'dist', 'cli.js');
const { NO_COLOR: _, ...environment } = process.env;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Ways {
  readonly input?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

function holdfast(words: readonly string[], { input = '', cwd, env }: Ways = {}): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], {
    input,
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...environment, ...env },
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { code: status, out: stdout, err: stderr };
}

/** A terminal around it, by script(1): what a person sees, both streams in one. */
function onTerminal(words: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const line = [process.execPath, program, ...words].map((word) => `'${word}'`).join(' ');
  const { stdout } = spawnSync('script', ['-qec', line, '/dev/null'], {
    env: { ...environment, TERM: 'xterm', ...env },
    encoding: 'utf8',
    timeout: 30_000,
  });
  return stdout;
}

const canLock = process.env.HOLDFAST_ENGINE !== 'portable';
const hasScript = hasTool('script');

describe('holdfast', () => {
  test('says what there is, and what each command takes', () => {
    const { code, out } = holdfast(['--help']);
    equal(code, 0);
    for (const name of [
      'probe',
      'doctor',
      'cp',
      'replace',
      'lock',
      'journal',
      'image',
      'completion',
    ]) {
      match(out, new RegExp(`^  ${name} `, 'm'));
      const help = holdfast([name, '--help']);
      equal(help.code, 0);
      match(help.out, new RegExp(`^holdfast ${name} `));
    }
    const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
    equal(holdfast(['--version']).out, `${version}\n`);
    deepEqual(JSON.parse(holdfast(['--version', '--json']).out), { version });
  });

  test('refuses wrong words with 2 and a hint, and does nothing', (t) => {
    const cwd = scratch(t);
    const wrong: readonly (readonly [string[], RegExp])[] = [
      [['prob'], /no command "prob"; did you mean "probe"\?/],
      [['probe', '--mesure'], /no option --mesure; did you mean "--measure"\?/],
      [['probe', '-z'], /no option -z/],
      [['probe', 'a', 'b'], /"b" is one word too many/],
      [['cp', 'a'], /something is missing: <source> <target>/],
      [['cp', 'a', ''], /a path is empty/],
      [['cp', 'a', 'b', '--reflink=allways'], /one of auto, always, never.*did you mean "always"/],
      [['probe', '--engine', 'rign'], /one of ring, pool, portable.*did you mean "ring"/],
      [['replace', 'a', '--mode', '9'], /octal permissions/],
      [['lock', 'a'], /no command behind --/],
      [['lock', 'a', '--timeout', 'soon', '--', 'true'], /a time such as/],
      [['completion', 'zhs'], /none of bash, zsh, fish; did you mean "zsh"\?/],
      [['cp', '.', 'b'], /\. is a directory: give --recursive/],
    ];
    for (const [words, says] of wrong) {
      const { code, out, err } = holdfast(words, { cwd });
      equal(code, 2, `${words}: ${err}`);
      equal(out, '');
      match(err, says);
      match(err, /--help` tells/);
    }
    deepEqual(readdirSync(cwd), []);
  });

  test('refusals of the system are told with 1, as JSON where that is asked for', (t) => {
    const cwd = scratch(t);
    const { code, out, err } = holdfast(['cp', 'absent', 'target', '--json'], { cwd });
    equal(code, 1);
    match(err, /^holdfast cp: Cannot .*no such file/);
    match(err, /The old content stands\./);
    match(holdfast(['cp', 'a', 'no/b'], { cwd }).err, /"a" -> "no\/b"$/m);
    const { error } = JSON.parse(out);
    deepEqual([error.code, error.kind, error.durable], ['ENOENT', 'not-found', 'old']);
  });

  test('a closed pipe ends it without a word', () => {
    const line = `"${process.execPath}" "${program}" probe --json | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', line], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    equal(stdout, '0\n');
    equal(stderr, '');
  });

  /*
   * Node's stream over a file takes a short write for a whole one, and told an error after the
   * command had ended: `journal export > file` on a full disk left part of a journal and said 0.
   */
  test('an answer that a full disk cuts is a refusal', (t) => {
    const cwd = scratch(t);
    const line = `"${process.execPath}" "${program}"`;
    for (const words of ['--help', '--version', 'probe --json', 'completion bash']) {
      const { status, stderr } = spawnSync('bash', ['-c', `${line} ${words} > /dev/full`]);
      equal(status, 1, words);
      match(String(stderr), /Cannot write .*the device is full/);
    }
    if (limitsRefusal() !== undefined) return t.skip(limitsRefusal());
    const script = `prlimit --fsize=1000 ${line} completion bash > out`;
    const short = spawnSync('bash', ['-c', script], { cwd, encoding: 'utf8' });
    equal(short.status, 1);
    match(short.stderr, /Cannot write .*too large \(EFBIG\), "\/dev\/stdout"/);
    equal(statSync(join(cwd, 'out')).size, 1000, 'as much as there was room for');
  });

  test('an answer goes behind what a file has', (t) => {
    const cwd = scratch(t);
    const line = `"${process.execPath}" "${program}" --version`;
    spawnSync('bash', ['-c', `echo before > out; ${line} >> out; ${line} >> out`], { cwd });
    match(readFileSync(join(cwd, 'out'), 'utf8'), /^before\n(\d\S*)\n\1\n$/);
  });

  test('colours are for a terminal alone, and not with NO_COLOR', (t) => {
    if (!hasScript) return t.skip('script (bsdutils) is not installed');
    const paint = '\u001b[';
    ok(onTerminal(['doctor', '/']).includes(paint));
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
      equal(onTerminal(['doctor', '/'], env).includes(paint), false);
    }
    equal(onTerminal(['doctor', '/', '--no-color']).includes(paint), false);
    equal(holdfast(['doctor', '/']).out.includes(paint), false);
  });
});

test('probe tells what formatProbe and probe tell', () => {
  const { code, out } = holdfast(['probe', projectRoot]);
  equal(code, 0);
  match(out, /^Probe of .*\n\nPlace\n/);
  const report = JSON.parse(holdfast(['probe', projectRoot, '--json']).out);
  equal(report.place.kind.value, 'directory');
  const forced = JSON.parse(holdfast(['probe', '--json', '--engine', 'portable']).out);
  equal(forced.engine.engine.value, 'portable');
});

test('doctor ends with 3 where everything is in memory', (t) => {
  const { fileSystem } = JSON.parse(holdfast(['probe', '/dev/shm', '--json']).out);
  if (fileSystem.medium.value !== 'memory') return t.skip('/dev/shm is not in memory');
  const { code, out } = holdfast(['doctor', '/dev/shm']);
  equal(code, 3);
  match(out, /lost +tmpfs +it lies in memory/);
  const { safe, findings } = JSON.parse(holdfast(['doctor', '/dev/shm', '--json']).out);
  equal(safe, false);
  equal(findings[0].level, 'lost');
});

describe('cp', () => {
  test('copies a file, and into a directory under its own name', (t) => {
    const cwd = scratch(t);
    writeFileSync(join(cwd, 'one'), 'content', { mode: 0o640 });
    mkdirSync(join(cwd, 'place'));
    equal(holdfast(['cp', 'one', 'two'], { cwd }).code, 0);
    const { bytes, path } = JSON.parse(holdfast(['cp', 'one', 'place', '--json'], { cwd }).out);
    deepEqual([bytes, path.endsWith('place/one')], [7, true]);
    equal(readFileSync(join(cwd, 'place/one'), 'utf8'), 'content');
    equal(statSync(join(cwd, 'two')).mode & 0o777, 0o640);
    const { code, err } = holdfast(['cp', '--no-replace', 'one', 'two'], { cwd });
    equal(code, 1);
    match(err, /exists/);
  });

  test('copies a tree with -r', (t) => {
    const cwd = scratch(t);
    mkdirSync(join(cwd, 'tree/deep'), { recursive: true });
    writeFileSync(join(cwd, 'tree/deep/file'), 'x');
    symlinkSync('deep/file', join(cwd, 'tree/link'));
    const { code, out } = holdfast(['cp', '-r', 'tree', 'copy'], { cwd });
    equal(code, 0);
    match(out, /1 files, \d directories, 1 links/);
    equal(readFileSync(join(cwd, 'copy/link'), 'utf8'), 'x');
  });

  test('Ctrl-C leaves the target whole or as it was, and nothing beside it', async (t) => {
    const cwd = scratch(t);
    writeFileSync(join(cwd, 'large'), new Uint8Array(100_000_000).fill(1));
    writeFileSync(join(cwd, 'target'), 'old');
    const words = [program, 'cp', '--reflink=never', 'large', 'target'];
    const child = spawn(process.execPath, words, { cwd, stdio: 'ignore' });
    t.after(() => child.kill('SIGKILL'));
    const ended = once(child, 'exit');
    while (child.exitCode === null && readdirSync(cwd).length === 2) {
      await new Promise((done) => setTimeout(done, 1));
    }
    child.kill('SIGINT');
    const [code] = await ended;
    ok(code === 130 || code === 0, `${code}`);
    equal(statSync(join(cwd, 'target')).size, code === 130 ? 3 : 100_000_000);
    deepEqual(readdirSync(cwd).sort(), ['large', 'target']);
  });

  test('shows how far it is, on a terminal', (t) => {
    if (!hasScript) return t.skip('script (bsdutils) is not installed');
    const cwd = scratch(t);
    writeFileSync(join(cwd, 'large'), new Uint8Array(30_000_000).fill(1));
    const [source, target] = [join(cwd, 'large'), join(cwd, 'copy')];
    const seen = onTerminal(['cp', '--reflink=never', source, target]);
    match(seen, /\[#*\.*\] +\d+% .* of 28\.6 MiB/);
    equal(onTerminal(['cp', '--quiet', source, target]).includes('%'), false);
  });
});

describe('replace', () => {
  test('puts standard input under the name', (t) => {
    const cwd = scratch(t);
    const { code, out } = holdfast(['replace', 'state', '--mode', '600'], { cwd, input: 'new' });
    equal(code, 0);
    match(out, /state: 3 B, durability full/);
    equal(readFileSync(join(cwd, 'state'), 'utf8'), 'new');
    equal(statSync(join(cwd, 'state')).mode & 0o777, 0o600);
    equal(holdfast(['replace', 'state', '--if-absent'], { cwd, input: 'x' }).code, 1);
    const { oldPath } = JSON.parse(
      holdfast(['replace', 'state', '--json'], { cwd, input: '' }).out,
    );
    equal(oldPath, undefined);
    deepEqual(readdirSync(cwd), ['state']);
  });

  for (const [signal, expected] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    test(`leaves the old file and nothing else after ${signal}`, async (t) => {
      const cwd = scratch(t);
      writeFileSync(join(cwd, 'state'), 'old');
      const child = spawn(process.execPath, [program, 'replace', 'state'], { cwd });
      t.after(() => child.kill('SIGKILL'));
      child.stdin.on('error', () => {});
      child.stdin.write(new Uint8Array(3_000_000));
      while (readdirSync(cwd).length === 1) await new Promise((done) => setTimeout(done, 5));
      child.kill(signal);
      const [code] = await once(child, 'exit');
      equal(code, expected);
      equal(readFileSync(join(cwd, 'state'), 'utf8'), 'old');
      deepEqual(readdirSync(cwd), ['state']);
    });
  }
});

describe('lock', { skip: canLock ? false : 'the portable engine has no locks' }, () => {
  test('ends as its command ends', (t) => {
    const cwd = scratch(t);
    const ends: readonly (readonly [string[], number])[] = [
      [['true'], 0],
      [['sh', '-c', 'exit 7'], 7],
      [['sh', '-c', 'kill -9 $$'], 137],
      [['no-such-program'], 127],
      [[cwd], 126],
    ];
    for (const [words, expected] of ends) {
      equal(holdfast(['lock', 'it', '--', ...words], { cwd }).code, expected, `${words}`);
    }
    const { out } = holdfast(['lock', 'it', '--', 'sh', '-c', 'echo $HOLDFAST_LOCK --json'], {
      cwd,
    });
    match(out, /it --json\n$/);
  });

  test('two do not run at once; who has it is told, with 75', async (t) => {
    const cwd = scratch(t);
    const words = [program, 'lock', 'it', '--', 'sh', '-c', 'echo ready; read line'];
    const child = spawn(process.execPath, words, { cwd });
    t.after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const refused = holdfast(['lock', 'it', '--no-wait', '--json', '--', 'true'], { cwd });
    equal(refused.code, 75);
    match(refused.err, new RegExp(`it is held by process ${child.pid} `));
    equal(JSON.parse(refused.out).error.owner.pid, child.pid);
    equal(holdfast(['lock', 'it', '--timeout', '50ms', '--', 'true'], { cwd }).code, 75);
    child.stdin.end('\n');
    const [code] = await once(child, 'exit');
    equal(code, 0);
    equal(holdfast(['lock', 'it', '--no-wait', '--', 'true'], { cwd }).code, 0);
  });

  test('many count without losing', async (t) => {
    const cwd = scratch(t);
    writeFileSync(join(cwd, 'count'), '0');
    const script = 'n=$(cat count); sleep 0.01; echo $((n + 1)) > count';
    const words = [program, 'lock', 'it', '--', 'sh', '-c', script];
    const children = Array.from({ length: 6 }, () => spawn(process.execPath, words, { cwd }));
    await Promise.all(children.map((child) => once(child, 'exit')));
    equal(readFileSync(join(cwd, 'count'), 'utf8'), '6\n');
  });
});

describe('completion', () => {
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    test(`of ${shell} is understood by it`, (t) => {
      const { code, out } = holdfast(['completion', shell]);
      equal(code, 0);
      match(out, /--no-replace|-l no-replace/);
      if (!hasTool(shell)) return t.skip(`${shell} is not installed`);
      /* A file: fish reads no socket, which is what a child gets of Node as its standard input. */
      const script = join(scratch(t), 'completion');
      writeFileSync(script, out);
      const { status, stderr } = spawnSync(shell, ['-n', script], { encoding: 'utf8' });
      equal(status, 0, stderr);
    });
  }

  test('of fish completes commands, options and their values', (t) => {
    if (!hasTool('fish')) return t.skip('fish is not installed');
    const complete = (line: string): readonly string[] => {
      const script = `"${process.execPath}" "${program}" completion fish | source
        complete -C '${line}'`;
      const { stdout } = spawnSync('fish', ['--no-config', '-c', script], {
        encoding: 'utf8',
        cwd: projectRoot,
      });
      return stdout.split('\n').map((found) => found.split('\t')[0] ?? '');
    };
    deepEqual(complete('holdfast pro'), ['probe', '']);
    deepEqual(complete('holdfast cp --no-r'), ['--no-replace', '']);
    deepEqual(complete('holdfast cp --reflink al'), ['always', '']);
    deepEqual(complete('holdfast completion z'), ['zsh', '']);
    ok(complete('holdfast cp READ').includes('README.md'));
  });

  test('of zsh completes commands, options and their values', (t) => {
    if (!hasTool('zsh')) return t.skip('zsh is not installed');
    const cwd = scratch(t);
    writeFileSync(join(cwd, 'completion'), holdfast(['completion', 'zsh']).out);
    writeFileSync(join(cwd, 'README'), '');
    /* A terminal that zsh makes, in which another one is asked by the key of completion. */
    const cases = [
      ['holdfast pro', 'probe'],
      ['holdfast cp --no-r', '--no-replace'],
      ['holdfast cp --reflink al', 'always'],
      ['holdfast completion z', 'zsh'],
      ['holdfast cp REA', 'README'],
    ];
    const asks = cases.map(
      ([line, found]) => `zpty -w -n shell $'\\C-u${line}\\t'
        zpty -r shell seen '*${found}*' && print -r -- '${found}'`,
    );
    const script = `
      zmodload zsh/zpty
      zpty shell zsh -f -i
      zpty -w shell 'autoload -Uz compinit; compinit -u -d dump; source completion; print re"ad"y'
      zpty -r shell seen '*ready*'
      ${asks.join('\n')}
      zpty -d shell`;
    const { stdout } = spawnSync('zsh', ['-f', '-c', script], {
      cwd,
      encoding: 'utf8',
      timeout: 20_000,
    });
    deepEqual(
      stdout.trim().split('\n'),
      cases.map(([, found]) => found),
    );
  });

  test('of bash completes commands, options and their values', () => {
    const complete = (...words: readonly string[]): string => {
      const script = `eval "$("${process.execPath}" "${program}" completion bash)"
        COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
        _holdfast; echo "\${COMPREPLY[*]}"`;
      return spawnSync('bash', ['-c', script], {
        encoding: 'utf8',
        cwd: projectRoot,
      }).stdout.trim();
    };
    equal(complete('holdfast', 'pro'), 'probe');
    equal(complete('holdfast', 'cp', '--no-r'), '--no-replace');
    equal(complete('holdfast', 'cp', '--reflink', 'al'), 'always');
    equal(complete('holdfast', 'completion', 'z'), 'zsh');
    ok(existsSync(join(projectRoot, 'README.md')));
    match(complete('holdfast', 'cp', 'READ'), /README\.md/);
  });
});
