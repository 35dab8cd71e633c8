/** What an open file does and why. */
import type { EngineName } from '../engine.js';
import type { Alignment, Target } from './transfer.js';

/** What this file does and why. */
export interface FileExplanation {
  readonly path: string | undefined;
  readonly engine: EngineName;
  readonly reason: string;
  readonly direct: boolean;
  /** Bytes that direct I/O demands; 1 where it is not in force. */
  readonly alignment: Alignment;
  readonly viewCountMax: number;
  readonly sync: { readonly full: string; readonly data: string; readonly barrier: string };
  /** What falls back to something weaker or slower, and why. */
  readonly fallbacks: readonly Fallback[];
}

interface Fallback {
  readonly what: string;
  readonly reason: string;
}

/** Puts together what is known of a file. */
export function explained(
  file: Target,
  alignment: Alignment,
  fallbacks: readonly Fallback[],
): FileExplanation {
  const { engine } = file;
  const absent = Object.entries(engine.capabilities)
    .filter(([, reason]) => reason !== true)
    .map(([what, reason]) => ({ what, reason: String(reason) }));
  return {
    path: file.path,
    engine: engine.name,
    reason: engine.reason,
    direct: file.directAlignment !== undefined,
    alignment,
    viewCountMax: engine.viewCountMax,
    sync: { full: 'fsync', data: 'fdatasync', barrier: 'fdatasync' },
    fallbacks: [...fallbacks, ...absent],
  };
}
