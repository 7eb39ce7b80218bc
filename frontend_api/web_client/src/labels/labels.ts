/** Labels of tasks. A favourite is a task with the label `favorite=true`, so that the API and its clients find it. Pure. */

import type { LabelChange, TaskDocument } from "@darkroom/web";

export interface Label {
  readonly name: string;
  readonly value: string;
}

export const FAVOURITE: Label = { name: "favorite", value: "true" };
const MAX_VALUE_CHARACTERS = 100;

export function hasLabel({ labels }: Pick<TaskDocument, "labels">, { name, value }: Label): boolean {
  return Object.hasOwn(labels, name) && labels[name] === value;
}

export function isFavourite(task: Pick<TaskDocument, "labels">): boolean {
  return hasLabel(task, FAVOURITE);
}

export function favouriteChange(isFavourite: boolean): LabelChange {
  return { [FAVOURITE.name]: isFavourite ? FAVOURITE.value : null };
}

export function labelText({ name, value }: Label): string {
  return `${name}=${value}`;
}

/** The labels of a task by name, without the one of favourites. */
export function ownLabels({ labels }: Pick<TaskDocument, "labels">): readonly Label[] {
  return Object.entries(labels)
    .filter(([name]) => name !== FAVOURITE.name)
    .map(([name, value]) => ({ name, value }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

/** Parse "name=value"; a name alone has the value "true". Return the error of a text that is no label. */
export function parseLabel(text: string): Label | string {
  const [name = "", ...rest] = text.trim().split("=");
  const label = { name: name.trim().toLowerCase(), value: rest.length === 0 ? "true" : rest.join("=").trim() };
  if (!/^[a-z0-9][a-z0-9_-]{0,62}$/.test(label.name))
    return "Write a label as name=value. The name has 1 to 63 of the characters a-z, 0-9, _ and -, and begins with a letter or digit.";
  if (Array.from(label.value).length > MAX_VALUE_CHARACTERS) return `The value has at most ${MAX_VALUE_CHARACTERS} characters.`;
  return label;
}

/** The labels of these tasks, each with the number of tasks that have it, the most frequent first. */
export function countedLabels(tasks: readonly TaskDocument[]): readonly (Label & { readonly count: number })[] {
  const counts = new Map<string, Label & { readonly count: number }>();
  for (const label of tasks.flatMap(ownLabels)) {
    const key = labelText(label);
    counts.set(key, { ...label, count: (counts.get(key)?.count ?? 0) + 1 });
  }
  return [...counts.values()].sort((a, b) => b.count - a.count || labelText(a).localeCompare(labelText(b)));
}
