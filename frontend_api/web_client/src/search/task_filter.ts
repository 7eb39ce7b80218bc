/** Which tasks the list shows. The API selects by status, model, one label and time; the rest is searched in the loaded tasks. Pure. */

import type { Status, TaskDocument } from "@darkroom/web";

import { FAVOURITE, type Label, hasLabel, isFavourite, labelText } from "../labels/labels";

export interface TaskFilter {
  /** Words of the prompt. */
  readonly text: string;
  readonly status: Status | null;
  readonly model: string | null;
  readonly label: Label | null;
  readonly isFavourite: boolean;
  /** Days as "2026-11-20" in the browser's time zone; the last one is included. */
  readonly from: string | null;
  readonly to: string | null;
}

export const NO_FILTER: TaskFilter = { text: "", status: null, model: null, label: null, isFavourite: false, from: null, to: null };

export function isEmpty(filter: TaskFilter): boolean {
  return words(filter.text).length === 0 && apiQuery(filter).size === 0;
}

/** Whether the API cannot apply a part of the filter. */
export function hasLocalPart(filter: TaskFilter): boolean {
  return words(filter.text).length > 0 || (filter.isFavourite && filter.label !== null);
}

/** The parameters of `GET /v1/tasks`, which takes one label. */
export function apiQuery({ status, model, label, isFavourite, from, to }: TaskFilter): ReadonlyMap<string, string> {
  const query = new Map<string, string>();
  if (status !== null) query.set("status", status);
  if (model !== null) query.set("model", model);
  if (label !== null) query.set("label", labelText(label));
  else if (isFavourite) query.set("label", labelText(FAVOURITE));
  const [after, before] = [startOf(from), endOf(to)];
  if (after !== null) query.set("created_after", new Date(after).toISOString());
  if (before !== null) query.set("created_before", new Date(before).toISOString());
  return query;
}

/** Whether the task has everything that the API can select by. */
export function matchesQuery(filter: TaskFilter, task: TaskDocument): boolean {
  const label = filter.label ?? (filter.isFavourite ? FAVOURITE : null);
  return (filter.status === null || task.status === filter.status)
    && (filter.model === null || task.model === filter.model)
    && (label === null || hasLabel(task, label))
    && task.createdAt >= (startOf(filter.from) ?? -Infinity)
    && task.createdAt < (endOf(filter.to) ?? Infinity);
}

/** Return whether a task has everything that the filter selects by. */
export function matcherOf(filter: TaskFilter): (task: TaskDocument) => boolean {
  const wanted = words(filter.text);
  return (task) =>
    matchesQuery(filter, task) && (!filter.isFavourite || isFavourite(task)) && wanted.every((word) => promptOf(task).includes(word));
}

/** Every update of the list compares all loaded prompts. */
const foldedPrompts = new WeakMap<TaskDocument, string>();

function promptOf(task: TaskDocument): string {
  const prompt = foldedPrompts.get(task) ?? folded(task.prompt);
  foldedPrompts.set(task, prompt);
  return prompt;
}

function words(text: string): readonly string[] {
  return folded(text).split(/\s+/).filter((word) => word !== "");
}

/** Without case and accents: "cafe" finds "Café". */
function folded(text: string): string {
  return text.normalize("NFKD").replace(/\p{Mark}+/gu, "").toLowerCase();
}

function startOf(day: string | null): number | null {
  const parsed = day === null ? Number.NaN : new Date(`${day}T00:00:00`).getTime();
  return Number.isNaN(parsed) ? null : parsed;
}

/** The beginning of the next day, which may be an hour more or less than 24 hours later. */
function endOf(day: string | null): number | null {
  const start = startOf(day);
  if (start === null) return null;
  const next = new Date(start);
  next.setDate(next.getDate() + 1);
  return next.getTime();
}
