import { type TaskDocument, readTaskDocument } from "@darkroom/web";

/** A completed task that was created so many seconds after the epoch, unless `fields` of its document say otherwise. */
export function taskAt(seconds: number, fields: Readonly<Record<string, unknown>> = {}): TaskDocument {
  const id = typeof fields.id === "string" ? fields.id : `task-${seconds}`;
  return readTaskDocument(id, { status: "completed", created_at: { seconds, nanoseconds: 0 }, ...fields });
}

/** The fields of a document with so many finished images. */
export function withImages(count: number): { images: readonly unknown[] } {
  return { images: Array.from({ length: count }, (_, index) => ({ index, seed: index, content_type: "image/png", sha256: "" })) };
}
