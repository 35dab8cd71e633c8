// Formats everything and applies the linter's safe fixes.

import { installPackages } from './setup.mjs';
import { runTool } from './tools.mjs';

installPackages();
process.exitCode = runTool('@biomejs/biome/bin/biome', ['check', '--write', '.']);
