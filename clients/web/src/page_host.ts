/** The host name by which a page reaches Firestore's emulator. */

import type { Configuration } from "./configuration.js";

const MAX_MILLISECONDS = 2_000;
const LABEL = `page-${Math.random().toString(36).slice(2)}`;

/**
 * Return the configuration with a name for the emulator's host that only this page uses, where the browser resolves it.
 *
 * Browsers open at most six HTTP/1.1 connections to a host name, and each open page holds one or two. Chromium and
 * Firefox resolve every name below `localhost` to their own machine. Elsewhere the pages share the plain name.
 */
export async function withPageHost(configuration: Configuration): Promise<Configuration> {
  const emulator = configuration.firestore_emulator;
  const host = emulator?.page_hosts?.replace("*", LABEL);
  if (emulator === null || host === undefined) return configuration;
  const own = { ...configuration, firestore_emulator: { ...emulator, host } };
  const signal = AbortSignal.timeout(MAX_MILLISECONDS);
  return fetch(`http://${host}:${emulator.port}/readyz`, { signal }).then(() => own, () => configuration);
}
