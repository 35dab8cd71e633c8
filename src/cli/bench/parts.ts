/** What `holdfast bench` loads when it is asked to measure or compare. */
export { JOBS, jobIn, jobsNamed } from './jobs.js';
export { storePage } from './page.js';
export { compared, resultIn } from './result.js';
export { benched } from './run.js';
export { comparisonText, resultText } from './show.js';
