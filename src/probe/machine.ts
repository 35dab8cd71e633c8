/** The machine, the runtime, and how operations run here. */
import { type Engine, ringState } from '../engine.js';
import { loadAddon, machine, readTable } from '../platform.js';
import { type EngineItems, known, type MachineItems, no, type ProbeFeature } from './report.js';

/** The machine's items. */
export function machineItems(): MachineItems {
  const { platform, kernel, node, runtime, cpu } = machine();
  const stands = runtime === undefined ? undefined : `${runtime} stands in for Node`;
  return {
    platform: known(platform),
    kernel: known(kernel),
    node: known(node, stands),
    cpu: known(cpu),
  };
}

const IO_URING: Readonly<Record<string, string>> = {
  '0': 'the kernel allows io_uring to every process (kernel.io_uring_disabled = 0)',
  '1': 'the kernel allows io_uring to privileged processes only (kernel.io_uring_disabled = 1)',
  '2': 'the kernel allows io_uring to nobody (kernel.io_uring_disabled = 2)',
};

function ringItem(): ProbeFeature {
  const text = readTable('/proc/sys/kernel/io_uring_disabled').text?.trim();
  const kernel = text === undefined ? undefined : IO_URING[text];
  const { isThere, reason } = ringState();
  if (isThere) return known(true, reason);
  return no(`${reason}; ${kernel ?? 'the kernel does not tell whether it allows io_uring'}`);
}

/** The items of the engine that probes. */
export function engineItems(engine: Engine): EngineItems {
  const { addon, reason } = loadAddon();
  return {
    addon: addon === undefined ? no(reason) : known(true, reason),
    engine: known(engine.name, engine.reason),
    threads:
      engine.threads > 0 ? known(engine.threads) : no('this engine has no threads of its own'),
    ring: ringItem(),
    maps: engine.capabilities.maps === true ? known(true) : no(engine.capabilities.maps),
  };
}
