/**
 * Where the list is scrolled to, for a reload and for Back from another page.
 *
 * The browser cannot return there by itself: the tasks arrive after its attempt.
 */

import type { TaskDocument } from "@darkroom/web";

import { attempt } from "./storage";

const KEY = "darkroom.list-place";

let isDeleted = false;

/** A card, its task's time, and its distance from the top of the window. */
export interface ListPlace {
  readonly id: string;
  readonly createdAt: number;
  readonly top: number;
}

/** Return the place at which this tab left the list; null: the list was not scrolled, or this is a new visit. */
export function takePlace(): ListPlace | null {
  const place = attempt(() => JSON.parse(sessionStorage.getItem(KEY) ?? "null") as ListPlace | null);
  attempt(() => { sessionStorage.removeItem(KEY); });
  const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  if (place === null || (navigation?.type !== "reload" && navigation?.type !== "back_forward")) return null;
  history.scrollRestoration = "manual";
  return place;
}

/** Keep the place when the page is left. */
export function keepPlace(current: () => ListPlace | null): void {
  addEventListener("pagehide", () => {
    if (!isDeleted) attempt(() => { sessionStorage.setItem(KEY, JSON.stringify(current())); });
  });
}

/** Remove the place and keep no other one: the user has signed out, and the next one has other tasks. */
export function deletePlace(): void {
  isDeleted = true;
  attempt(() => { sessionStorage.removeItem(KEY); });
}

/** The task of a place, or the next older one if it was deleted; undefined: the tasks, newest first, do not reach so far. */
export function taskOf({ id, createdAt }: ListPlace, tasks: readonly TaskDocument[]): TaskDocument | undefined {
  return tasks.find((task) => task.id === id) ?? tasks.find((task) => task.createdAt < createdAt);
}
