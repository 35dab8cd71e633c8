/** Extended attributes, which node:fs does not know; set and read with tools that are not ours. */
import { execFileSync } from 'node:child_process';

const quiet = { stdio: ['ignore', 'pipe', 'pipe'] as ('ignore' | 'pipe')[] };

/** Sets an attribute with setfattr(1). */
export function setAttribute(path: string, name: string, value: Uint8Array): void {
  const hex = `0x${Buffer.from(value).toString('hex')}`;
  execFileSync('setfattr', ['-h', '-n', name, '-v', hex, path], quiet);
}

/** Sets many attributes at once; the value of each is its name. */
export function setAttributes(path: string, names: readonly string[]): void {
  const lines = names.map((name) => `${name}="${name}"`);
  const input = [`# file: ${path}`, ...lines, '', ''].join('\n');
  execFileSync('setfattr', ['--restore=-'], { input, stdio: 'pipe' });
}

/** All attributes as getfattr(1) shows them: name to value in hexadecimal. */
export function attributesOf(path: string): Record<string, string> {
  const words = ['-h', '-d', '-m', '-', '-e', 'hex', '--absolute-names', path];
  const text = execFileSync('getfattr', words, quiet).toString('latin1');
  const found: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const [, name, value] = /^([^#=]+)=0x([0-9a-f]*)$/.exec(line) ?? [];
    if (name !== undefined) found[name] = value as string;
  }
  return found;
}

/** Sets an access control list with setfacl(1). */
export function setAccess(path: string, ...rules: string[]): void {
  execFileSync('setfacl', ['-m', rules.join(','), path], quiet);
}

/** An access control list as getfacl(1) shows it. */
export function accessOf(path: string): string[] {
  const text = execFileSync('getfacl', ['-c', '--absolute-names', path], quiet).toString('utf8');
  return text.split('\n').filter((line) => line !== '');
}

/** Sets the list that new files of a directory begin with. */
export function setDefaultAccess(directory: string, ...rules: string[]): void {
  execFileSync('setfacl', ['-d', '-m', rules.join(','), directory], quiet);
}
