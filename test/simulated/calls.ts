/** System calls on a simulated disk, for protocols written by hand. Each throws when refused. */
import type { Engine } from 'holdfast';
import { Code, codeName, OpenFlag, Operation, placeOf } from '#holdfast/platform.js';

export const { ReadOnly, WriteOnly, ReadWrite, Create, Exclusive, Truncate, Directory } = OpenFlag;

export class Calls {
  readonly engine: Engine;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  /** Performs one operation and answers its result, refusals included. */
  ask(code: Code, fields: Partial<Operation>): Operation {
    const operation = Object.assign(new Operation(code), fields);
    this.engine.perform(operation);
    return operation;
  }

  #done(code: Code, fields: Partial<Operation>): number {
    const { result } = this.ask(code, fields);
    if (result < 0) throw new Error(`${codeName(code)} answered ${result}`);
    return result;
  }

  open(path: string, flags: number): number {
    return this.#done(Code.Open, { place: placeOf(path), flags, mode: 0o644 });
  }

  close(fd: number): void {
    this.#done(Code.Close, { fd });
  }

  write(fd: number, data: string | Uint8Array, offset: number): number {
    const payload = typeof data === 'string' ? Buffer.from(data) : data;
    return this.#done(Code.Write, { fd, payload, offset, length: payload.length });
  }

  read(fd: number, length: number, offset = 0): string {
    const payload = new Uint8Array(length);
    const moved = this.#done(Code.Read, { fd, payload, offset, length });
    return Buffer.from(payload).toString('latin1', 0, moved);
  }

  sync(fd: number): void {
    this.#done(Code.Sync, { fd });
  }

  syncData(fd: number): void {
    this.#done(Code.SyncData, { fd });
  }

  truncate(fd: number, length: number): void {
    this.#done(Code.Truncate, { fd, length });
  }

  setMode(fd: number, mode: number): void {
    this.#done(Code.SetMode, { fd, mode });
  }

  rename(source: string, target: string): void {
    this.#done(Code.Rename, { place: placeOf(source), place2: placeOf(target) });
  }

  link(source: string, target: string): void {
    this.#done(Code.Link, { place: placeOf(source), place2: placeOf(target) });
  }

  unlink(path: string): void {
    this.#done(Code.Unlink, { place: placeOf(path) });
  }

  modeOf(path: string): number | undefined {
    return this.ask(Code.Stat, { place: placeOf(path) }).stat?.mode;
  }

  /** Opens, writes from the start, and closes. */
  put(path: string, data: string, { flags = Create | WriteOnly, syncs = true } = {}): void {
    const fd = this.open(path, flags);
    this.write(fd, data, 0);
    if (syncs) this.sync(fd);
    this.close(fd);
  }

  syncDirectory(path: string): void {
    const fd = this.open(path, ReadOnly | Directory);
    this.sync(fd);
    this.close(fd);
  }
}
