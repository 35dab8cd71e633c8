/**
 * A formatter rewrote the octal keys of the table of file kinds to other numbers, so every file was
 * "unknown": replaceFile refused each existing target and openFile let directories through. The
 * table is decimal now, and this holds it against what the system says of real files.
 */
import { equal } from 'node:assert/strict';
import { constants, statSync } from 'node:fs';
import { test } from 'node:test';
import { openFileSync } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
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

/*
 * The addon's engine told another number for a device than node:fs did, so two files of one disk
 * looked as if they were on two. The encoding of makedev(3) guards it now.
 */
test('stat() tells the device and inode that node:fs tells, on every engine', () => {
  for (const name of ['pool', 'portable']) {
    for (const path of ['package.json', '/dev/null', '/proc/self/status']) {
      const theirs = statSync(path, { bigint: true });
      using file = openFileSync(path, { engine: engineNamed(name) });
      const { device, inode } = file.statSync();
      equal(device, theirs.dev, `${name}: ${path}`);
      if (!path.startsWith('/proc')) equal(inode, theirs.ino);
    }
  }
});
