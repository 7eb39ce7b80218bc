/** What a search has found, in words. Pure. */

import type { LibraryView } from "./task_library";
import { apiQuery, hasLocalPart, isEmpty } from "./task_filter";

/** Empty without a filter. A search of loaded tasks says how many it has searched. */
export function searchText({ filter, tasks, hasMore, isLoading, searchedCount }: LibraryView): string {
  if (isEmpty(filter)) return "";
  const found = tasks.length === 0 ? "Nothing found" : `${tasks.length.toLocaleString("en")} found`;
  if (!hasMore) return `${found}.`;
  if (isLoading) return `${found} so far. Searching…`;
  if (!hasLocalPart(filter)) return `${found} so far.`;
  const others = apiQuery(filter).size > 0 ? " that match the other filters" : "";
  return `${found} in the newest ${searchedCount.toLocaleString("en")} tasks${others}. Older tasks are not searched yet.`;
}

export function moreLabel({ filter, error, isLoading }: Pick<LibraryView, "filter" | "error" | "isLoading">): string {
  if (isLoading) return "Loading…";
  if (error !== null) return "Try again";
  return hasLocalPart(filter) ? "Search older tasks" : "Show more";
}
