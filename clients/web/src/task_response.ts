/** A task as the REST API returns it. Pure. */

import { type TaskDocument, readTaskDocument } from "./task_document.js";

/** A preview whose bytes must be requested from the API. */
export interface PreviewLink {
  readonly index: number;
  readonly step: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** Read a response like the document of Firestore, without the previews, whose bytes are not in it. */
export function readTaskResponse(task: Fields): TaskDocument {
  return readTaskDocument(String(task.id), { ...task, usage: task.metrics, previews: [] });
}

export function previewLinksOf(task: Fields): readonly PreviewLink[] {
  return Array.isArray(task.previews) ? (task.previews as PreviewLink[]) : [];
}
