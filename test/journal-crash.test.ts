/** Power cuts on a simulated disk, at any operation, keeping any of what was not synced. */
import { survives } from './journal/survives.js';

survives('buffered');
