/** What a copy of a view is. */
import type { ListView } from './lists.js';
import type { MapView } from './maps.js';
import type { Row } from './scalars.js';

/** The plain value of what a view shows: objects, arrays, `Map`, typed arrays. */
export type Plain<T> = T extends Row | string | number | bigint | boolean | undefined
  ? T
  : T extends ListView<infer U>
    ? Plain<U>[]
    : T extends MapView<infer K, infer V>
      ? Map<K, Plain<V>>
      : { [K in keyof T]: Plain<T[K]> };
