/**
 * `holdfast/testing`: a disk that lies as real ones do, and engines that refuse, to try your own
 * code on. Nothing of the library is replaced by it: the same doors run on another engine.
 *
 * Source: DESIGN of the simulated disk in its own door; docs/testing.md
 */

export {
  CrashFailure,
  type CrashOptions,
  type CrashReport,
  type CrashScenario,
  type CrashStatesOptions,
  crashEverywhere,
  crashStates,
  type DiskOptions,
  type Fault,
  type LossOptions,
  type NameLoss,
  type OperationName,
  type RefuseOptions,
  type RefusingEngine,
  refuseNth,
  SimulatedCrash,
  SimulatedDisk,
  simulatedDisk,
  type Unwritten,
} from './simulated.js';
