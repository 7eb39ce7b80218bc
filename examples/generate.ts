// Generate images from a prompt and follow the task: node generate.ts PROMPT [SEED] (Node 22.18 or newer)
import { writeFile } from "node:fs/promises";

interface Image {
  readonly index: number;
  readonly url: string;
  readonly content_type: string;
  /** Numbers of JavaScript are exact only below 2^53; the text always is. */
  readonly seed_text: string;
}

interface Task {
  readonly id: string;
  readonly status: "queued" | "processing" | "completed" | "failed" | "cancelled";
  readonly progress: { readonly step: number; readonly steps: number };
  readonly images: readonly Image[];
  readonly failure: { readonly message: string } | null;
  readonly warnings: readonly { readonly pointer: string; readonly detail: string }[];
  readonly urls: { readonly events: string };
}

/** An error response (RFC 9457). */
interface Problem {
  readonly detail: string;
  readonly errors: readonly { readonly pointer?: string; readonly detail: string }[];
}

const api = (process.env.DARKROOM_URL ?? "http://localhost:8080").replace(/\/$/, "");
const credentials: Record<string, string> = process.env.DARKROOM_API_KEY
  ? { authorization: `Bearer ${process.env.DARKROOM_API_KEY}` }
  : {};

/** `path` is relative to the API, or an address from one of its responses. */
async function call(path: string, options: RequestInit = {}): Promise<Response> {
  const address = new URL(path, `${api}/`);
  const headers = { ...credentials, ...(options.headers as Record<string, string> | undefined) };
  const response = await fetch(address, { ...options, headers });
  if (response.ok) return response;
  const problem = (await response.json()) as Problem;
  throw new Error([problem.detail, ...problem.errors.map((each) => `${each.pointer ?? ""}: ${each.detail}`)].join("\n"));
}

async function submit(prompt: string, seed: string | undefined): Promise<Task> {
  const response = await call("v1/tasks", {
    method: "POST",
    // Repeating the request with the same key creates no second task.
    headers: { "content-type": "application/json", "idempotency-key": crypto.randomUUID() },
    body: JSON.stringify({ prompt, seed, labels: { example: "typescript" } }),
  });
  return (await response.json()) as Task;
}

/** Yield the task at each change until it has finished. A lost stream is opened again where it ended. */
async function* changes(task: Task): AsyncGenerator<Task> {
  let lastEventId = "";
  while (!isFinished(task)) {
    const response = await call(task.urls.events, { headers: lastEventId ? { "last-event-id": lastEventId } : {} });
    for await (const event of eventsOf(response)) {
      lastEventId = event.get("id") ?? lastEventId;
      if (event.get("event") === "task") yield (task = JSON.parse(event.get("data") ?? "") as Task);
    }
  }
}

function isFinished(task: Task): boolean {
  return task.status !== "queued" && task.status !== "processing";
}

/** Parse server-sent events: blocks of `name: value` lines, separated by empty lines. */
async function* eventsOf(response: Response): AsyncGenerator<Map<string, string>> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes as Uint8Array, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) yield new Map(block.split("\n").map((line) => line.split(/: (.*)/, 2) as [string, string]));
  }
}

async function download(task: Task, image: Image): Promise<string> {
  const extension = image.content_type.replace("image/", "").replace("jpeg", "jpg");
  const name = `darkroom-${task.id}-${image.index}.${extension}`;
  // A signed link leads to another host, which must not receive the credentials.
  const response = image.url.startsWith("/") ? await call(image.url) : await fetch(image.url);
  await writeFile(name, new Uint8Array(await response.arrayBuffer()));
  return name;
}

const [prompt, seed] = process.argv.slice(2);
if (prompt === undefined) {
  console.error("usage: node generate.ts PROMPT [SEED]");
  process.exit(2);
}
let task = await submit(prompt, seed);
for (const { pointer, detail } of task.warnings) console.error(`${pointer}: ${detail}`);
for await (task of changes(task)) console.error(`${task.status} ${task.progress.step}/${task.progress.steps}`);
if (task.status !== "completed") throw new Error(task.failure?.message ?? task.status);
for (const image of task.images) console.log(`${await download(task, image)} ${image.seed_text}`);
