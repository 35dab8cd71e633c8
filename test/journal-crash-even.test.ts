/** As journal-crash.test.ts, with frames that begin where sectors do. */
import { survives } from './journal/survives.js';

survives('buffered, even');
