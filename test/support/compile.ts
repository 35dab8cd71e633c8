/** Programs in C that tests need beside them. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { toolEnvironment } from './child.js';
import { projectRoot } from './scratch.js';

/** Files in the project, besides the program's own. */
export interface Sources {
  /** Folders whose headers it includes; `test/support` always is one. */
  readonly headers?: readonly string[];
  readonly sources?: readonly string[];
  /** What its sources include, other than headers. */
  readonly included?: readonly string[];
  /** To be loaded into other programs, by LD_PRELOAD. */
  readonly isLibrary?: boolean;
}

/** Compiles test/<name>.c if need be; answers the program. Throws with what the compiler says. */
export function compiledProgram(
  name: string,
  { headers = [], sources = [], included = [], isLibrary = false }: Sources = {},
): string {
  const own = [`test/${name}.c`, ...sources].map((path) => join(projectRoot, path));
  const folders = ['test/support', ...headers].map((path) => join(projectRoot, path));
  const program = join(projectRoot, 'build', 'test', name);
  const others = included.map((path) => join(projectRoot, path));
  const inputs = [...own, ...others, ...folders.flatMap(headersIn)];
  const isFresh =
    existsSync(program) && inputs.every((path) => changedMs(path) < changedMs(program));
  if (isFresh) return program;
  mkdirSync(dirname(program), { recursive: true });
  /* Another test file may be compiling too: only whole programs get the name. */
  const temporary = `${program}-${process.pid}`;
  const words = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread'];
  const include = folders.map((folder) => `-I${folder}`);
  if (isLibrary) words.push('-shared', '-fPIC');
  const options = { encoding: 'utf8', env: toolEnvironment, timeout: 60_000 } as const;
  const compiler = spawnSync('cc', [...words, ...include, '-o', temporary, ...own], options);
  if (compiler.status !== 0) throw new Error(`cc failed: ${compiler.error ?? compiler.stderr}`);
  renameSync(temporary, program);
  return program;
}

const changedMs = (path: string): number => statSync(path).mtimeMs;

function headersIn(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.h'));
  return names.map((name) => join(folder, name));
}
