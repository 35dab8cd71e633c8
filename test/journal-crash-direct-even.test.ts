/** As journal-crash-even.test.ts, for journals that go round the page cache. */
import { survives } from './journal/survives.js';

survives('direct, even');
