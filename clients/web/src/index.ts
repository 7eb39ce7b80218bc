/** The public interface of `@darkroom/web`. The Firestore source is in `@darkroom/web/firestore`. */

export { type ChangeResult, DarkroomClient, type LabelChange, MAX_CHANGED_TASKS, type Parameters, type TaskPage, submittedParameters } from "./client.js";
export { type Configuration, loadConfiguration } from "./configuration.js";
export type { Estimate, QueueEstimate, Warning } from "./estimates.js";
export { type Connection, HttpClient, type RequestOptions } from "./http_client.js";
export { newIdempotencyKey } from "./idempotency_key.js";
export type { Lora, Model, ModelDefaults, ModelLimits, ModelTraits, SteeringWeights } from "./models.js";
export { type Problem, ProblemError, problemFrom } from "./problems.js";
export type { Seed } from "./seeds.js";
export { type ImageProgress, type Preview, type Status, type StoredImage, type TaskDocument, readTaskDocument } from "./task_document.js";
export { type FeedListener, type FeedSources, type FeedState, TaskFeed } from "./task_feed.js";
export { readTaskResponse } from "./task_response.js";
export type { SourceName, Subscribe, TaskListener, Unsubscribe } from "./task_source.js";
