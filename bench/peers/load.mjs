// Imports a peer by name from here, where it is installed.

export const load = (name) => import(name);
