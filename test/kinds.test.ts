/**
 * A formatter rewrote the octal keys of the table of file kinds to other numbers, so every file was
 * "unknown": replaceFile refused each existing target and openFile let directories through. The
 * table is decimal now, and this holds it against what the system says of real files.
 */
import { equal } from 'node:assert/strict';
import { constants, statSync } from 'node:fs';
import { test } from 'node:test';
import { openFileSync } from 'holdfast';
import { kindOf } from '#holdfast/platform.js';

test('kindOf() names each kind by the constants of the system', () => {
  equal(kindOf(constants.S_IFIFO | 0o644), 'fifo');
  equal(kindOf(constants.S_IFCHR | 0o644), 'character-device');
  equal(kindOf(constants.S_IFDIR | 0o755), 'directory');
  equal(kindOf(constants.S_IFBLK | 0o644), 'block-device');
  equal(kindOf(constants.S_IFREG | 0o644), 'file');
  equal(kindOf(constants.S_IFLNK | 0o777), 'symlink');
  equal(kindOf(constants.S_IFSOCK | 0o600), 'socket');
  equal(kindOf(0), 'unknown');
});

test('stat() says "file" of a file and "character-device" of /dev/null', () => {
  for (const path of ['package.json', '/dev/null']) {
    using file = openFileSync(path);
    const isFile = statSync(path).isFile();
    equal(file.statSync().kind, isFile ? 'file' : 'character-device');
  }
});
