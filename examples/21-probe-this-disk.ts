/** Asks what the disk under a path can do before anything is stored there. */
import './scratch.js';
import { formatProbe, probe, sectorBytes } from 'holdfast';

// Of the path given, which need not exist yet: its nearest existing parent is looked at then.
const report = await probe('data/state.db');
console.log(report.place.exists.no?.startsWith('not yet')); // true

// Each item is a value, or "no" with a reason, or "unknown" with a reason; never a guess.
const { medium } = report.fileSystem;
const isSafe = medium.value === 'device' && report.fileSystem.barriers.no === undefined;
console.log(typeof isSafe); // boolean
const { reflink } = report.features;
const words = reflink.value ? 'a copy costs nothing' : (reflink.no ?? reflink.unknown);
console.log(typeof words); // string

// For people, a table; for programs, the report is JSON as it is.
console.log(formatProbe(report).split('\n')[0]); // Probe of data/state.db
console.log(JSON.stringify(report).length > 1000); // true

// What direct I/O has to be a multiple of, on the volume of that path.
console.log((await sectorBytes('data/state.db')) % 512); // 0
