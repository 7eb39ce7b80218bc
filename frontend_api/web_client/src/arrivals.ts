/** Which tasks a scrolled list shows: new ones from elsewhere wait, so that the shown ones do not move. Pure. */

import type { TaskDocument } from "@darkroom/web";

export interface Arrivals {
  readonly shown: readonly TaskDocument[];
  /** The number of new tasks that are not shown yet. */
  readonly waiting: number;
}

/** `known`: the ids of the tasks in the list. New tasks wait while `isScrolled`, except this page's `own` ones. */
export function arrivalsOf(
  tasks: readonly TaskDocument[],
  known: Pick<ReadonlySet<string>, "has">,
  own: ReadonlySet<string>,
  isScrolled: boolean,
): Arrivals {
  const lastKnown = tasks.findLastIndex(({ id }) => known.has(id));
  // Tasks after the last known one are older: the list was extended.
  const waits = ({ id }: TaskDocument, index: number) => isScrolled && index < lastKnown && !known.has(id) && !own.has(id);
  const shown = tasks.filter((task, index) => !waits(task, index));
  return { shown, waiting: tasks.length - shown.length };
}
