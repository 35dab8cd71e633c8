#!/usr/bin/env node
/**
 * The command `holdfast`: probe, doctor, bench, cp, replace, lock, journal, image. Hides the words
 * of a shell; what is done is done by the library: a command promises what its function does.
 *
 * Invariants: 1. Standard output holds the answer alone, with `--json` one JSON value, or one on
 *                each line for records; progress, warnings and refusals go to standard error.
 *             2. The exit code is one of `EXIT`, or that of the command that `lock` ran.
 *             3. The first Ctrl-C ends the work as an abort does, so nothing half-made is left.
 * Not promised: the wording of what is meant for people. Programs read `--json`.
 * Source: util.parseArgs of Node; no-color.org; sysexits(3) for 75
 */
import { main } from './cli/main.js';

process.exitCode = await main(process.argv.slice(2));
