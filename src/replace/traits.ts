/** What the new file takes over from the old one, or is given: owner, attributes, mode, times. */
import type { Engine, Steps } from '../engine.js';
import { Code, environment, errnoOf, FD_OPENED_IN_RUN, type Place } from '../platform.js';
import { Draft, type Fallback } from './draft.js';
import { replaceSettingsOf } from './options.js';
import { type Attribute, NONE, rightsGiven, type Spot, type Traits } from './spot.js';
import { type Refused, type Task, taskSteps } from './tasks.js';

const ACCESS_RIGHTS = 'system.posix_acl_access';
const DEFAULT_RIGHTS = 'system.posix_acl_default';
/* The head of an ACL without entries: setting it takes the ACL away (posix_acl_from_xattr). */
const NO_RIGHTS: Uint8Array = Uint8Array.of(2, 0, 0, 0);
const POWERS = 0o6000;
/* Not ours to do, or nothing that this file system has. */
const MAY_NOT = ['EPERM', 'EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].map(errnoOf);

function ownerTasks(draft: Draft): Task[] {
  const { owner } = draft.settings;
  const wanted = owner ?? draft.spot.old;
  if (wanted === undefined || wanted === false) return [];
  if (draft.engine.capabilities.owner !== true) return [];
  const note = draft.noted('owner');
  const lenient: Refused = (operation) => {
    draft.isOwnerKept = false;
    return note(operation);
  };
  const strict = draft.strict('set the owner');
  const refused: Refused = (operation) => {
    const isAsked = owner !== undefined && owner !== false;
    const isLenient = !isAsked || (!owner.required && MAY_NOT.includes(operation.result));
    return isLenient ? lenient(operation) : strict(operation);
  };
  return [
    draft.onFile(Code.SetOwner, refused, (operation) => {
      operation.flags = wanted.user;
      operation.mode = wanted.group;
    }),
  ];
}

/* Version 2, then owner, group and others as the mode has them (linux/posix_acl_xattr.h). */
function rightsOf(mode: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(28));
  view.setUint32(0, 2, true);
  for (const [index, tag] of [0x01, 0x04, 0x20].entries()) {
    view.setUint16(4 + index * 8, tag, true);
    view.setUint16(6 + index * 8, (mode >> (6 - index * 3)) & 7, true);
    view.setUint32(8 + index * 8, 0xffffffff, true);
  }
  return new Uint8Array(view.buffer);
}

/*
 * A default ACL of the directory gives the temporary file rights that the old file never had: a
 * user who could not read it could read the new one. An ACL of the mode alone takes them back.
 */
function plainRights({ spot }: Draft): Attribute[] {
  const { old, attributes, givesRights } = spot;
  const hasOwn = attributes.some(({ name }) => name === ACCESS_RIGHTS);
  if (old === undefined || !givesRights || hasOwn) return [];
  return [{ name: ACCESS_RIGHTS, value: rightsOf(old.mode) }];
}

function attributeTasks(draft: Draft): Task[] {
  const { attributes, attributesReason, unread } = draft.spot;
  if (attributesReason !== undefined) draft.note('attributes', attributesReason);
  for (const { name, reason } of unread) draft.note(`attribute ${name}`, reason);
  return [...attributes, ...plainRights(draft)].map(({ name, value }) =>
    draft.onFile(Code.SetAttribute, draft.noted(`attribute ${name}`), (operation) => {
      operation.attribute = name;
      operation.payload = value;
    }),
  );
}

/* FAT and its like have no such modes and say EPERM: only a mode that was asked for is owed. */
function modeTask(draft: Draft): Task {
  const { mode } = draft.settings;
  const wanted = mode ?? draft.spot.old?.mode ?? 0o666 & ~environment.modeMask();
  const [note, strict] = [draft.noted('mode'), draft.strict('set the mode')];
  const refused: Refused = (operation) =>
    mode === undefined && MAY_NOT.includes(operation.result) ? note(operation) : strict(operation);
  return draft.onFile(Code.SetMode, refused, (operation) => {
    operation.mode = wanted;
  });
}

function timesTasks(draft: Draft): Task[] {
  const { old } = draft.spot;
  if (!draft.settings.keepTimes || old === undefined) return [];
  return [
    draft.onFile(Code.SetTimes, draft.strict('set the times'), (operation) => {
      operation.payload = new Uint8Array(old.times.buffer);
    }),
  ];
}

/** In this order: a change of owner takes set-user-ID away, attributes may change the mode. */
export function traitTasks(draft: Draft): Task[] {
  const links = (draft.old?.links ?? 1) - 1;
  if (links > 0)
    draft.note('hard links', `${links} other name${links > 1 ? 's' : ''}: the old file`);
  return [...ownerTasks(draft), ...attributeTasks(draft), modeTask(draft), ...timesTasks(draft)];
}

/**
 * What is left to be done of tasks that begin with those of `traitTasks`, once it is known whether
 * the owner was kept where that matters. Errors: those of the tasks.
 */
export function* settledTasks(tasks: Task[], draft: Draft): Steps<Task[]> {
  const owner = tasks.findIndex(({ operation }) => operation.code === Code.SetOwner);
  if (owner < 0 || !givesPowers(draft)) return tasks;
  yield* taskSteps(tasks.splice(0, owner + 1));
  for (const { operation } of tasks) {
    if (operation.fd === FD_OPENED_IN_RUN) operation.fd = draft.fd;
  }
  weaken(tasks, draft);
  return tasks;
}

/** An open directory, newly made. */
export interface Made {
  readonly fd: number;
  readonly place: Place;
}

/**
 * Gives a new directory the traits of another; answers what could not be given.
 *
 * Errors: `IoError` for mode and times.
 */
export function* giveTraits(
  engine: Engine,
  { fd, place }: Made,
  traits: Traits,
  keepTimes: boolean,
): Steps<readonly Fallback[]> {
  const hasAttributes = engine.capabilities.attributes === true;
  const { givesRights } = hasAttributes ? yield* rightsGiven(place, fd) : { givesRights: false };
  const hasDefault = traits.attributes.some(({ name }) => name === DEFAULT_RIGHTS);
  const cleared = { name: DEFAULT_RIGHTS, value: NO_RIGHTS };
  const attributes =
    givesRights && !hasDefault ? [...traits.attributes, cleared] : traits.attributes;
  const settings = { ...replaceSettingsOf({ keepTimes }), takesAfter: { ...traits, attributes } };
  const where = { directory: place, descriptor: fd, target: place, isOurs: false, isLink: false };
  const spot: Spot = { ...NONE, ...where, old: undefined, givesRights };
  const draft = new Draft(engine, { settings, path: place.path }, spot);
  draft.fd = fd;
  yield* taskSteps(yield* settledTasks(traitTasks(draft), draft));
  return draft.fallbacks;
}

/** True where it has to be known whether the owner was kept before the mode is set. */
function givesPowers({ spot, settings }: Draft): boolean {
  return spot.old !== undefined && ((settings.mode ?? spot.old.mode) & POWERS) !== 0;
}

/** Who cannot give the owner away must not give the owner's powers either. */
function weaken(tasks: readonly Task[], draft: Draft): void {
  for (const { operation } of tasks) {
    if (operation.code !== Code.SetMode || draft.isOwnerKept) continue;
    operation.mode &= ~POWERS;
    draft.note('mode', 'set-user-ID and set-group-ID are not given without the owner');
  }
}
